"""The same news as a line of text for Slack, or what speaks like it. Pure.

What others wrote (names, causes) stands in code spans, which Slack neither formats nor links, and mentions nobody.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from receiver.inbox.names import split_inbox_name
from receiver.overdue import EXPIRES_H

MAX_QUOTED = 200
NO_MENTION = "@\u200b"  # Slack asks for <!channel>, but what imitates it takes @channel
ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "\u2019", "@": NO_MENTION})


def quote(text: str) -> str:
    """A foreign text as a code span of one line.

    >>> quote("<!channel>")
    '`&lt;!channel&gt;`'
    """
    printable = "".join(char if char.isprintable() else " " for char in text[:MAX_QUOTED])
    words = " ".join(printable.split()).translate(ESCAPED)
    return f"`{words}`" if words else ""


def encode_text(kind: str, batch: str, data: Mapping[str, Any]) -> bytes:
    """The body for an incoming webhook of Slack's; `batch` is the name in the inbox."""
    text = "\n".join(line for line in _lines(kind, batch, data) if line)
    return json.dumps({"text": text, "unfurl_links": False, "unfurl_media": False}).encode()


def _lines(kind: str, batch: str, data: Mapping[str, Any]) -> Iterator[str]:
    match kind:
        case "results.stored":
            word = "stored" if data.get("complete") else ":warning: stored, but not complete"
        case "results.failed":
            word = f":warning: {_word(data.get('state'))}"
        case "batch.buried":
            word = ":warning: given up"
        case "batch.overdue":
            word = f":warning: not ended after {data.get('hours')} hours"
        case _:
            yield "A test of Gemini batch receiver: notices arrive here."
            return
    yield f"Batch {_name(batch, data)}: *{word}*"
    if kind == "batch.buried":
        yield f"After {data.get('attempts')} attempts: {quote(str(data.get('cause')))}"
        yield f"Try again: `gemini-batch-receiver events retry {batch}`"
        return
    if kind == "batch.overdue":
        state, created = quote(str(data.get("state"))), quote(str(data.get("created")))
        yield f"Gemini says {state}, created {created}. It may let a batch expire {EXPIRES_H} hours after that."
        yield f"Look at it: `gemini-batch-receiver batches show {batch}`"
        return
    yield _books(data)
    yield from (quote(str(problem)) for problem in data.get("problems") or ())
    error = data.get("error") or {}
    yield quote(str(error["message"])) if error.get("message") else ""


def _name(batch: str, data: Mapping[str, Any]) -> str:
    project, name = split_inbox_name(batch)
    label = quote(str(data.get("display_name") or ""))
    of_project = f" of project {quote(project)}" if project else ""
    return f"{label} ({quote(name)}){of_project}" if label else f"{quote(name)}{of_project}"


def _word(state: object) -> str:
    return {"FAILED": "failed", "EXPIRED": "expired", "CANCELLED": "cancelled"}.get(str(state), "did not succeed")


def _books(data: Mapping[str, Any]) -> str:
    requests, cost = data.get("requests"), data.get("cost")
    counts = [f"{count:,} {name}" for name, count in (data.get("outcomes") or {}).items() if count]
    counts += [f"{data['missing']:,} missing"] if data.get("missing") else []
    asked = "an unknown number of" if requests is None else f"{requests:,}"
    price = f"; {cost['amount']} {cost['currency']}" if isinstance(cost, Mapping) else ""
    return f"{asked} requests: {', '.join(counts) or 'no results'}{price}"
