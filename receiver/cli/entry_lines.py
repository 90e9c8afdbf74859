"""What `events show` prints of one batch, for people: a label and a text per line. Pure but for its types."""

import json
from collections.abc import Iterator
from typing import Any

from receiver.cli.moments import show_moment
from receiver.inbox.entries import Entry
from receiver.inbox.entry_fields import JobProgress, Summary, judge_summary
from receiver.outputs.manifest import Cost

NOTHING = "-"
UNKNOWN = "unknown"


def entry_lines(entry: Entry) -> Iterator[tuple[str, str]]:
    """All that the inbox knows but the timeline; what there is none of is `-`, what nobody knows is `unknown`."""
    yield "batch", entry.batch
    yield "project", entry.project or NOTHING
    yield "state", entry.state
    yield "event", entry.event or NOTHING
    yield "source", entry.source
    yield "attempts", str(entry.attempts)
    yield "waits", str(entry.waits)
    yield "accepted", show_moment(entry.accepted_ms)
    yield "changed", show_moment(entry.changed_ms)
    yield "cause", entry.cause or NOTHING
    yield "metadata", _compact(entry.metadata) if entry.metadata else NOTHING
    yield "progress", _progress(entry.progress) if entry.progress else NOTHING
    if entry.state == "done":
        yield from _summary_lines(entry.summary, entry.batch)


def _summary_lines(summary: Summary, name: str) -> Iterator[tuple[str, str]]:
    judgement = judge_summary(summary, name)
    if judgement is None:
        yield "expired", summary.expired
        return
    counts = ", ".join(
        f"{outcome} {count:,}" for outcome, count in summary.outcomes.items() if count
    )
    yield "judgement", judgement.text
    yield "gemini", summary.state or UNKNOWN
    yield "name", summary.display_name or NOTHING
    yield "model", summary.model or UNKNOWN
    yield "created", summary.created or UNKNOWN
    yield "ended", summary.ended or UNKNOWN
    yield "requests", _number(summary.requests)
    yield "outcomes", counts or "none"
    yield "missing", _number(summary.missing)
    yield (
        "cost",
        f"{summary.cost.amount} {summary.cost.currency}"
        if isinstance(summary.cost, Cost)
        else UNKNOWN,
    )
    yield "objects", f"{summary.objects.count:,}, {summary.objects.bytes:,} bytes"
    if judgement.advice:
        yield "next", judgement.advice


def _progress(progress: JobProgress) -> str:
    size = f" of {progress.total_bytes:,}" if progress.total_bytes else ""
    asked = f" of {progress.requests:,}" if progress.requests else ""
    return f"{progress.stage}: {progress.bytes:,}{size} bytes, {progress.lines:,}{asked} results"


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
