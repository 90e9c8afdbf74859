"""What the page shows of one batch in a list: an entry of the inbox, worked out for people. Pure but for its types."""

from collections.abc import Mapping
from dataclasses import dataclass

from receiver.batch_names import INBOX_NAME, BatchName
from receiver.inbox.entries import Entry
from receiver.inbox.entry_fields import JobProgress, judge_summary
from receiver.outputs.judgement import Judgement
from receiver.outputs.outcomes import OUTCOMES
from receiver.settings.projects import DEFAULT
from receiver.status import formatting

STATES: Mapping[str, str] = {
    "open": "waiting",
    "leased": "running",
    "buried": "buried",
    "done": "stored",
}
STAGES: Mapping[str, str] = {
    "ask": "waits for Gemini",
    "split": "downloads and splits",
    "store": "writes the last outputs",
}
STEPS: Mapping[str, str] = {
    "accepted": "taken in",
    "claimed": "a worker took it",
    "not_ready": "Gemini is asked again later",
    "outage": "waits for Gemini or the storage",
    "refused": "Gemini refused it, to be asked again",
    "expired": "its results are gone at Gemini",
    "kept": "stays as it was stored",
    "postponed": "failed, to be tried again",
    "handed_back": "handed back",
    "lease_lost": "its worker was lost",
    "buried": "buried",
    "stored": "stored",
}
NARROWEST = 1.5  # percent of a bar that a single result gets
ESTIMATE_AFTER_S = 5


@dataclass(frozen=True)
class OutcomeShare:
    """One outcome in a bar, in percent of its width."""

    name: str
    count: int
    x: float
    width: float


@dataclass(frozen=True)
class Advance:
    """How far a running batch is."""

    stage: str
    value: int | None  # of `most`; None where nobody knows how far
    most: int
    detail: str
    left_s: float | None


@dataclass(frozen=True)
class BatchRow:
    """One batch."""

    name: str  # in the inbox
    path: str | None  # of its own page; None where the name is none
    batch_id: str
    project: str
    state: str
    display_name: str
    entry: Entry
    due_ms: int | None
    for_s: float  # since the last change
    worker: str
    advance: Advance | None
    parts: list[OutcomeShare]
    took_s: float | None  # at Gemini
    stored_s: float | None  # after Gemini's end, or where that is not known after it was taken in
    cost: str
    judgement: Judgement | None  # of a stored batch
    priced: str  # how much of an unknown cost is known


def page_path(name: str) -> str | None:
    """Where a batch has its page; None where its name is none."""
    return f"/status/{name}" if INBOX_NAME.fullmatch(name) else None


def make_row(entry: Entry, now_ms: int, due_ms: int | None = None, worker: str = "") -> BatchRow:
    """Everything of one row."""
    summary, progress = entry.summary, entry.progress
    batch = BatchName.read(entry.batch)
    for_s = max(0, now_ms - entry.changed_ms) / 1000
    created, ended = formatting.read_moment(summary.created), formatting.read_moment(summary.ended)
    began = entry.accepted_ms if ended is None else ended
    return BatchRow(
        name=entry.batch,
        path=page_path(entry.batch),
        batch_id=batch.id,
        project=batch.project or DEFAULT,
        state="expired" if summary.expired else STATES[entry.state],
        display_name=summary.display_name or (progress.display_name if progress else "") or "",
        entry=entry,
        due_ms=due_ms,
        for_s=for_s,
        worker=worker,
        advance=advance(progress, for_s) if progress else None,
        parts=split_bar(summary.outcomes, summary.missing),
        took_s=None if created is None or ended is None else max(0, ended - created) / 1000,
        stored_s=max(0, entry.changed_ms - began) / 1000 if entry.state == "done" else None,
        cost=formatting.money(summary.cost),
        judgement=judge_summary(summary, entry.batch) if entry.state == "done" else None,
        priced="" if summary.priced is None else str(summary.priced),
    )


def advance(progress: JobProgress, for_s: float) -> Advance:
    """How far a batch is that a worker has had for so long."""
    value, most = progress.bytes, progress.total_bytes
    results = "" if not progress.lines else f"{formatting.count(progress.lines)} results"
    if results and progress.requests:
        results = (
            f"{formatting.count(progress.lines)} of {formatting.count(progress.requests)} results"
        )
    sizes = formatting.size(value) if value else ""
    if most:
        sizes = f"{formatting.size(min(value, most))} of {formatting.size(most)}"
    left_s = None
    if most and value and progress.stage == "split" and for_s >= ESTIMATE_AFTER_S:
        left_s = for_s * max(0, most - value) / value
    return Advance(
        stage=STAGES[progress.stage],
        value=min(value, most) if most else None,
        most=most or 1,
        detail=", ".join(text for text in (sizes, results) if text),
        left_s=left_s,
    )


def split_bar(outcomes: Mapping[str, int], missing: int | None) -> list[OutcomeShare]:
    """The outcomes of a batch side by side, the missing ones last; a rare one is still wide enough to be seen."""
    counts = {name: outcomes.get(name, 0) for name in OUTCOMES} | {"missing": missing or 0}
    shown = {name: number for name, number in counts.items() if number > 0}
    total = sum(shown.values())
    widths = {name: max(NARROWEST, 100 * number / total) for name, number in shown.items()}
    scale = 100 / sum(widths.values()) if widths else 1
    parts, x = [], 0.0
    for name, number in shown.items():
        width = widths[name] * scale
        parts.append(OutcomeShare(name, number, round(x, 2), round(width, 2)))
        x += width
    return parts
