"""What the inbox keeps of a stored batch: enough to show it in a list without asking the storage. Pure."""

from typing import Any

import msgspec

from receiver.outputs.judgement import Again, Judgement, advise, find_again, judge, judge_manifest
from receiver.outputs.manifest import Cost, Manifest, Objects, Priced
from receiver.outputs.outcomes import OUTCOMES
from receiver.tolerant_json import tolerant_reader

_decode_fields = tolerant_reader(dict[str, Any])


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A manifest in short; empty where nobody could read it, or the batch is not stored, but for `expired`."""

    state: str = ""  # as Gemini says: SUCCEEDED, FAILED, CANCELLED or EXPIRED
    display_name: str | None = None
    model: str | None = None
    created: str | None = None  # RFC 3339, by Gemini's clock
    ended: str | None = None
    requests: int | None = None
    outcomes: dict[str, int] = {}
    missing: int | None = None
    balanced: bool | None = None
    cost: Cost | str | None = None  # "unknown" where that is so
    priced: Priced | None = None  # how much of it is known then
    objects: Objects = Objects()
    problems: list[str] = []  # why it is not well, as its worker judged
    again: Again | None = (
        None  # what `resubmit` would send; None where an earlier version wrote this
    )
    expired: str = (
        ""  # why it is not stored and never will be: it ended long ago, and its results are gone
    )


def summarise(manifest: Manifest) -> Summary:
    """A manifest without its keys, names and hashes."""
    return Summary(
        state=manifest.state,
        display_name=manifest.display_name,
        model=manifest.model,
        created=manifest.created,
        ended=manifest.ended,
        requests=manifest.requests,
        outcomes=manifest.outcomes,
        missing=manifest.missing,
        balanced=manifest.balanced,
        cost=manifest.cost,
        priced=manifest.priced if isinstance(manifest.priced, Priced) else None,
        objects=manifest.objects,
        problems=list(judge_manifest(manifest).problems),
        again=find_again(manifest),
    )


def judge_summary(summary: Summary, name: str) -> Judgement | None:
    """The judgement of a stored batch; `name` is the one in the inbox. Of older summaries the counts alone decide.

    None where it expired instead.
    """
    return None if summary.expired else judge(summary, advise(name, summary.again))


def read_summary(text: str) -> Summary:
    """Undo its encoding; earlier versions kept the outcomes alone. What can't be read is empty.

    >>> read_summary('{"ok": 3}').outcomes
    {'ok': 3}
    """
    try:
        found = _decode_fields((text or "{}").encode())
        is_counts = bool(found) and found.keys() <= set(OUTCOMES)
        return msgspec.convert({"outcomes": found} if is_counts else found, Summary)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return Summary()
