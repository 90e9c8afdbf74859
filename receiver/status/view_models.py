"""What the page shows of one batch in a list, made from its entry in the inbox."""

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
    "ask": "asks Gemini",
    "split": "downloads and splits",
    "store": "writes the last outputs",
}
STEPS: Mapping[str, str] = {
    "accepted": "accepted",
    "claimed": "taken by a worker",
    "not_ready": "not ready at Gemini: asked again later",
    "outage": "waits for Gemini or the storage",
    "refused": "refused by Gemini: asked again later",
    "expired": "its results are gone at Gemini",
    "kept": "stays as it was stored",
    "postponed": "failed: tried again later",
    "handed_back": "handed back by its worker",
    "lease_lost": "its worker was lost",
    "buried": "buried",
    "stored": "stored",
}
MIN_WIDTH = 1.5  # percent of a bar, however rare the outcome
ESTIMATE_AFTER_S = 5


@dataclass(frozen=True)
class OutcomeShare:
    """One outcome in a bar, in percent of its width."""

    name: str
    count: int
    x: float
    width: float


@dataclass(frozen=True)
class ProgressBar:
    """How far a running batch is."""

    stage: str
    value: int | None  # of `maximum`; None where nobody knows how far
    maximum: int
    detail: str
    left_s: float | None  # estimated; None where nobody knows


@dataclass(frozen=True)
class BatchRow:
    """One batch."""

    name: str  # in the inbox
    path: str | None  # of its own page; None where the name can't be a batch's
    batch_id: str
    project: str
    state: str
    display_name: str
    entry: Entry
    due_ms: int | None
    for_s: float  # since the last change
    worker: str
    progress: ProgressBar | None
    shares: list[OutcomeShare]
    took_s: float | None  # at Gemini
    # From Gemini's end, or from when it was accepted where that is not known, to the manifest.
    stored_s: float | None
    cost: str
    judgement: Judgement | None  # of a stored batch
    priced: str  # how much of an unknown cost is known


def page_path(name: str) -> str | None:
    """Where a batch has its page; None for what can't be the name of a batch."""
    return f"/status/{name}" if INBOX_NAME.fullmatch(name) else None


def make_row(entry: Entry, now_ms: int, due_ms: int | None = None, worker: str = "") -> BatchRow:
    """The row of an entry; times are Unix time in milliseconds by Redis' clock."""
    summary, progress = entry.summary, entry.progress
    batch = BatchName.read(entry.batch)
    for_s = max(0, now_ms - entry.changed_ms) / 1000
    created_ms = formatting.read_moment(summary.created)
    ended_ms = formatting.read_moment(summary.ended)
    began_ms = entry.accepted_ms if ended_ms is None else ended_ms

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
        progress=make_progress_bar(progress, for_s) if progress else None,
        shares=share_outcomes(summary.outcomes, summary.missing),
        took_s=_seconds_between(created_ms, ended_ms),
        stored_s=_seconds_between(began_ms, entry.changed_ms) if entry.state == "done" else None,
        cost=formatting.money(summary.cost),
        judgement=judge_summary(summary, entry.batch) if entry.state == "done" else None,
        priced="" if summary.priced is None else str(summary.priced),
    )


def _seconds_between(began_ms: int | None, ended_ms: int | None) -> float | None:
    """Never negative, though their clocks may differ; None where one is not known."""
    if began_ms is None or ended_ms is None:
        return None
    return max(0, ended_ms - began_ms) / 1000


def make_progress_bar(progress: JobProgress, for_s: float) -> ProgressBar:
    """How far a batch is that a worker has had for so long."""
    done, total = progress.bytes, progress.total_bytes
    if total:
        done = min(done, total)

    sizes = formatting.size(done) if done else ""
    if total:
        sizes = f"{formatting.size(done)} of {formatting.size(total)}"
    of_requests = f" of {formatting.count(progress.requests)}" if progress.requests else ""
    results = f"{formatting.count(progress.lines)}{of_requests} results" if progress.lines else ""

    left_s = None
    if total and done and progress.stage == "split" and for_s >= ESTIMATE_AFTER_S:
        left_s = for_s * (total - done) / done

    return ProgressBar(
        stage=STAGES[progress.stage],
        value=done if total else None,
        maximum=total or 1,
        detail=", ".join(text for text in (sizes, results) if text),
        left_s=left_s,
    )


def share_outcomes(outcomes: Mapping[str, int], missing: int | None) -> list[OutcomeShare]:
    """The outcomes of a batch side by side, missing requests last.

    A rare one is still wide enough to be seen.
    """
    counts = {name: outcomes.get(name, 0) for name in OUTCOMES} | {"missing": missing or 0}
    shown = {name: count for name, count in counts.items() if count > 0}
    total = sum(shown.values())
    widths = {name: max(MIN_WIDTH, 100 * count / total) for name, count in shown.items()}
    scale = 100 / sum(widths.values()) if widths else 1

    shares, x = list[OutcomeShare](), 0.0
    for name, count in shown.items():
        width = widths[name] * scale
        shares.append(OutcomeShare(name, count, round(x, 2), round(width, 2)))
        x += width
    return shares
