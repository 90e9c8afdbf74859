"""What an entry of the inbox holds as JSON or as rows: progress, timeline and summary. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import msgspec

from receiver.outputs.judgement import Again, Judgement, advise, find_again, judge, judge_manifest
from receiver.outputs.manifest import Cost, Manifest, Objects, Priced
from receiver.outputs.outcomes import OUTCOMES
from receiver.tolerant_json import tolerant_reader

Stage = Literal["ask", "split", "store"]


class JobProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a worker is with a batch, as it says whenever it renews its lease."""

    stage: Stage  # waits for Gemini, downloads and splits, or writes the rest of the outputs
    bytes: int = 0  # of the source so far
    total_bytes: int | None = None  # of the source; None where Gemini did not say
    lines: int = 0  # that have their outcome
    requests: int | None = None
    display_name: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a submission was when a worker looked last: its view in short, without the storage.

    Costs are in US dollars.
    """

    display_name: str
    model: str
    state: str  # waiting, running, paused or cancelling
    requests: int
    answered: int = 0  # of these, by the batches that are stored
    parts: int  # of all rounds
    at_gemini: int = 0  # of these parts, and so are the next ones
    stored: int = 0
    lost: int = 0
    buried: int = 0
    overdue: int = 0
    rounds: int = 0  # that were sent after the first sending
    max_rounds: int = 0
    cost: Decimal | None = None  # so far; None where it is not known
    max_cost: Decimal | None = None


@dataclass(frozen=True)
class Step:
    """One step of a batch in the inbox."""

    time_ms: int  # Unix time by Redis' clock
    # accepted, claimed, handed_back, lease_lost, what a wait was for (see postpone.lua), or how
    # it ended
    what: str
    detail: str  # its event and source, or the cause


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A manifest in short: enough to show a stored batch in a list without asking the storage.

    Empty where nobody could read it, or the batch is not stored, but for `expired`.
    """

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
    again: Again | None = None  # what `resubmit` would send; None of an earlier version
    expired: str = ""  # why it will never be stored: it ended long ago, and its results are gone


_decode_progress = tolerant_reader(JobProgress)
_decode_standing = tolerant_reader(Standing)
_decode_fields = tolerant_reader(dict[str, Any])


def read_progress(text: str) -> JobProgress | None:
    """Undo its encoding; None where there is none, or none that can be read."""
    try:
        return _decode_progress(text.encode())
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return None


def read_standing(text: str) -> Standing | None:
    """Undo its encoding; None where there is none, or none that can be read."""
    try:
        return _decode_standing(text.encode())
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return None


def read_timeline(text: str) -> tuple[Step, ...]:
    """The steps, oldest first: the first ever and the last. Unreadable rows are left out.

    >>> read_timeline("1769083200000 accepted batch.succeeded static")
    (Step(time_ms=1769083200000, what='accepted', detail='batch.succeeded static'),)
    """
    steps = (_read_step(row) for row in text.split("\n"))
    return tuple(step for step in steps if step)


def _read_step(row: str) -> Step | None:
    match row.split(" ", 2):
        case [time_ms, what, detail] if time_ms.isdecimal():
            return Step(int(time_ms), what, detail)
    return None


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
    """The judgement of a stored batch, whose name in the inbox is `name`; None if it expired.

    Of older summaries the counts alone decide.
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
