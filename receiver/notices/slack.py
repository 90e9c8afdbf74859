"""Notices as text for Slack and compatible chats. Pure.

Foreign text (names, causes) goes into code spans, which Slack neither formats nor links, and can't
mention anybody. What is not known to be ours is foreign: a state may be any word of Gemini's.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from receiver.batch_names import BatchName, SubmissionName
from receiver.inbox.entry_fields import Summary
from receiver.notices.overdue import EXPIRES_H
from receiver.outputs.judgement import judge

MAX_QUOTED = 200
# Words and figures that Slack makes neither a link nor a format of.
OWN_WORDS = re.compile(r"([A-Za-z0-9 ,;()%'-]|(?<=[0-9])\.(?=[0-9])|:(?= ))*")
NO_MENTION = "@\u200b"  # Slack mentions by <!channel>, but compatible chats by @channel
ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "\u2019", "@": NO_MENTION})


def quote(text: str) -> str:
    """Foreign text as a code span of one line.

    >>> quote("<!channel>")
    '`&lt;!channel&gt;`'
    """
    printable = "".join(char if char.isprintable() else " " for char in text[:MAX_QUOTED])
    words = " ".join(printable.split()).translate(ESCAPED)
    return f"`{words}`" if words else ""


def encode_text(kind: str, batch: str, data: Mapping[str, Any]) -> bytes:
    """The body for an incoming webhook of Slack; `batch` is the name in the inbox."""
    text = "\n".join(line for line in _lines(kind, batch, data) if line)
    return json.dumps({"text": text, "unfurl_links": False, "unfurl_media": False}).encode()


def _lines(kind: str, batch: str, data: Mapping[str, Any]) -> Iterator[str]:
    match kind:
        case "submission.completed" | "submission.stopped":
            yield from _ended_lines(batch, data)
        case "submission.buried":
            yield f"Submission {_name(batch, data)}: *:warning: buried*"
            yield f"After {data.get('attempts')} attempts: {quote(str(data.get('cause')))}"
            yield f"Look at it: `gemini-batch-receiver submissions show {_short(batch)}`"
        case "results.stored" | "results.failed":
            yield from _stored_lines(batch, data)
        case "batch.buried":
            yield f"Batch {_name(batch, data)}: *:warning: buried*"
            attempts, cause = _figure(data.get("attempts")), quote(str(data.get("cause")))
            yield f"After {attempts} attempts: {cause}"
            yield f"Try again: `gemini-batch-receiver inbox retry {batch}`"
        case "batch.overdue":
            state, created = quote(str(data.get("state"))), quote(str(data.get("created")))
            hours = f"not ended after {_figure(data.get('hours'))} hours"
            yield f"Batch {_name(batch, data)}: *:warning: {hours}*"
            expiry = f"It may let a batch expire {EXPIRES_H} hours after that."
            yield f"Gemini says {state}, created {created}. {expiry}"
            yield f"Look at it: `gemini-batch-receiver batches show {batch}`"
        case _:
            yield "A test of Gemini batch receiver: notices arrive here."


def _stored_lines(batch: str, data: Mapping[str, Any]) -> Iterator[str]:
    """Judged here from the counts, since earlier versions called failures answers."""
    judgement = judge(_read_counts(data))
    warning = "" if judgement.is_well else ":warning: "
    yield f"Batch {_name(batch, data)}: *{warning}{_plain(judgement.text)}*"
    yield _count(data, judgement.answered)
    yield from (quote(str(problem)) for problem in data.get("problems") or ())
    error = data.get("error")
    message = error.get("message") if isinstance(error, Mapping) else error
    yield quote(str(message or ""))
    command, _, effect = str(data.get("advice") or "").removeprefix("`").partition("`")
    yield f"{quote(command)}{_plain(effect)}"


def _ended_lines(submission: str, data: Mapping[str, Any]) -> Iterator[str]:
    requests, answered = data.get("requests"), data.get("answered")
    warning = "" if answered == requests else ":warning: "
    why = data.get("why")
    state = _plain(str(data.get("state"))) + (f": {_plain(str(why))}" if why else "")
    yield f"Submission {_name(submission, data)}: *{warning}{state}*"
    cost = data.get("cost")
    price = f"; {cost} USD" if isinstance(cost, str) else "; cost unknown"
    yield f"{_requests(requests)}, {_figure(answered)} answered{_plain(price)}"
    rest = [(name, data.get(name)) for name in ("blocked", "failed", "missing")]
    yield ", ".join(f"{_figure(count)} {name}" for name, count in rest if count)
    rows = data.get("rows")
    if isinstance(rows, dict) and rows.get("saved"):
        yield f"{_figure(rows.get('rows'))} rows; {_figure(rows['saved'])} of them cost nothing"
    if warning:
        yield f"Look at it: `gemini-batch-receiver submissions show {_short(submission)}`"


def _short(submission: str) -> str:
    name = SubmissionName.read(submission)
    return name.id if name else submission


def _read_counts(data: Mapping[str, Any]) -> Summary:
    try:
        return msgspec.convert(dict(data), Summary)
    except msgspec.ValidationError:
        return Summary()


def _plain(text: str) -> str:
    """Our own words as they are; as soon as there may be others among them, all are quoted.

    >>> _plain("stored; 2 errors"), _plain("stored; Gemini says evil.example")
    ('stored; 2 errors', '`stored; Gemini says evil.example`')
    """
    return text if OWN_WORDS.fullmatch(text) and len(text) <= MAX_QUOTED else quote(text)


def _figure(value: object) -> str:
    """A number; anything else is another program's, and foreign."""
    return f"{value:,}" if isinstance(value, int) else quote(str(value))


def _name(batch: str, data: Mapping[str, Any]) -> str:
    submission = SubmissionName.read(batch)
    name = BatchName.read(batch) if submission is None else submission
    said = name.gemini if isinstance(name, BatchName) else f"submissions/{name.id}"
    label = quote(str(data.get("display_name") or ""))
    of_project = f" of project {quote(name.project)}" if name.project else ""
    return f"{label} ({quote(said)}){of_project}" if label else f"{quote(said)}{of_project}"


def _count(data: Mapping[str, Any], answered: int) -> str:
    return f"{_requests(data.get('requests'))}, {answered:,} answered{_price(data)}"


def _requests(count: int | None) -> str:
    asked = "an unknown number of requests" if count is None else f"{_figure(count)} requests"
    return "1 request" if count == 1 else asked


def _price(data: Mapping[str, Any]) -> str:
    cost, priced = data.get("cost"), data.get("priced")
    if isinstance(cost, Mapping):
        return f"; {_plain(str(cost.get('amount')))} {_plain(str(cost.get('currency')))}"
    if isinstance(priced, Mapping):
        answers, of = _figure(priced.get("answers")), _figure(priced.get("of"))
        return f"; cost unknown: {answers} of {of} answers are priced"
    return ""
