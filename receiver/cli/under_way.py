"""What runs at Gemini, and how far each submission is, as lines of `status`."""

from collections.abc import Iterator

from receiver.cli.output import shorten, show_age
from receiver.inbox.entry_fields import Standing
from receiver.notices.running_batches import RunningNow, RunningRow
from receiver.outputs.wording import count_of
from receiver.settings.projects import DEFAULT
from receiver.status import formatting
from receiver.status.overview import SubmissionCounts, WaitingSubmission

MAX_LISTED = 5  # batches of a project, and submissions; the oldest ones
MAX_NAME = 60  # characters of a display name
ARRIVED = {
    "open": "its end was announced and waits for a worker",
    "leased": "its end was announced and a worker has it",
    "buried": "buried in the inbox",
}
Line = tuple[str, str]  # a label, and what stands beside it


def describe_running(running: RunningNow) -> Iterator[Line]:
    """What has not ended at Gemini in one project, as of its last reconcile run."""
    seen = f"{running.count:,} not ended when the list was seen {_age(running.seen_s)} ago"
    overdue = f", {running.overdue:,} overdue" if running.batches else ""
    yield "at Gemini", f"{running.project or DEFAULT}: {seen}{overdue}"
    for row in running.batches[:MAX_LISTED]:
        yield "", _describe_row(row)
    yield from _tell_of_others(running.count)


def _describe_row(row: RunningRow) -> str:
    age = "of unknown age" if row.age_s is None else f"for {_age(row.age_s)}"
    facts = [f"{_name(row.display_name, row.batch)}: {row.state} {age}", _describe_done(row)]
    facts += ["overdue"] if row.is_overdue else []
    facts += [f"of {row.submission}"] if row.submission else []
    facts += [ARRIVED.get(row.inbox, row.inbox)] if row.inbox else []
    return ", ".join(fact for fact in facts if fact)


def _describe_done(row: RunningRow) -> str:
    """How far Gemini is; empty where it says nothing."""
    if row.requests is None:
        return ""
    if row.done is None:
        return count_of(row.requests, "request", "requests")
    failed = f" ({row.failed:,} failed)" if row.failed else ""
    return f"{row.done:,} of {count_of(row.requests, 'request', 'requests')} done{failed}"


def describe_submissions(counts: SubmissionCounts) -> Iterator[Line]:
    """Those that the inbox knows, by state, and the oldest that have not ended one by one."""
    pending = f"{counts.open:,} open, {counts.leased:,} leased ({counts.due:,} due)"
    yield "submission", f"{pending}, {counts.buried:,} buried, {counts.done:,} done"
    for one in counts.under_way[:MAX_LISTED]:
        yield "", _describe_submission(one)
    yield from _tell_of_others(counts.open + counts.leased)


def _describe_submission(one: WaitingSubmission) -> str:
    name = _name(one.standing.display_name if one.standing else None, one.submission)
    cause = f": {shorten(one.cause)}" if one.cause else ""
    if one.standing is None:
        return f"{name} for {_age(one.for_s)}{cause}"
    return f"{name} for {_age(one.for_s)}, {', '.join(_describe_standing(one.standing))}{cause}"


def _describe_standing(one: Standing) -> Iterator[str]:
    yield one.state
    yield f"{one.stored:,} of {count_of(one.parts, 'part', 'parts')} stored"
    if one.at_gemini:
        overdue = f" ({one.overdue:,} overdue)" if one.overdue else ""
        yield f"{one.at_gemini:,} at Gemini{overdue}"
    if one.buried:
        yield f"{one.buried:,} buried"
    if one.lost:
        yield f"{one.lost:,} lost"
    if one.rounds:
        yield f"round {one.rounds} of {one.max_rounds}"
    yield f"{one.answered:,} of {count_of(one.requests, 'request', 'requests')} answered"
    if one.stored:
        yield f"cost so far {formatting.dollars(one.cost)}"


def _tell_of_others(count: int) -> Iterator[Line]:
    if count > MAX_LISTED:
        yield "", f"and {count - MAX_LISTED:,} more: `status --json` lists them"


def _name(display_name: str | None, name: str) -> str:
    return f"{shorten(display_name, MAX_NAME)} ({name})" if display_name else name


def _age(seconds: int) -> str:
    return show_age(seconds * 1000)
