"""Judges an overview: which problems need attention, and what is not known. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from receiver.inbox.outages import Outage
from receiver.notices.running_batches import find_overdue
from receiver.outputs.wording import count_of
from receiver.settings.projects import DEFAULT
from receiver.status.formatting import span
from receiver.status.next_steps import (
    COMMAND,
    find_process_steps,
    find_projects_without_webhook,
    find_unknown_webhooks,
    find_webhook_steps,
)
from receiver.status.overview import Overview, ProjectStatus

# A shorter one is shown, but needs no attention.
MIN_OUTAGE_S = {"outage": 15 * 60, "refusal": 3600}
MAX_CAUSE = 300
# Without a complete reconcile run for so long, nobody knows what ended at Gemini.
STALE_S = 2 * 3600
# A longer one may cost results: Gemini is known to keep files for two days.
MAX_PAUSE_S = 24 * 3600
UNKNOWN_PROCESSES = "which processes run: they can't report while Redis takes no writes"


def judge_overview(overview: Overview, obstacle: str | None, foreign: Sequence[str]) -> Overview:
    """The overview with its steps, problems, unknowns and notes.

    `obstacle` says why Redis takes no writes, `foreign` what another program wrote there.
    """
    projects = [one.project for one in overview.projects]
    web = overview.web

    steps = find_webhook_steps(projects, web, overview.dynamic)
    if obstacle is None:
        workers, due = len(overview.workers), overview.submissions.due
        steps = [*find_process_steps(web, workers, overview.due, due), *steps]

    paused = list(_find_paused(overview.paused))
    needs = [
        *([obstacle] if obstacle else []),
        *steps,
        *(problem.text for problem in overview.redis if problem.level == "refuse"),
        *_find_long_outages(overview.outages, overview.now_ms),
        *foreign,
        *_find_buried_and_dead(overview.buried, overview.notices.dead),
        *_find_buried_submissions(overview.submissions.buried),
        *find_overdue(overview.running),
        *(note for note, is_long in paused if is_long),
    ]
    unknown = [
        *([UNKNOWN_PROCESSES] if obstacle else []),
        *find_unknown_webhooks(projects, web),
        *_find_unseen(overview.projects),
    ]
    notes = [
        *find_projects_without_webhook(projects, web, overview.dynamic),
        *(note for note, is_long in paused if not is_long),
    ]
    return replace(overview, steps=steps, needs=needs, unknown=unknown, notes=notes)


def describe_outage(outage: Outage, now_ms: int) -> str:
    """How many batches wait for what, for how long, and why."""
    if not outage.is_all:
        waiting = f"at least {outage.batches:,} wait"
    else:
        waiting = count_of(outage.batches, "batch waits", "batches wait")

    if outage.kind == "outage":
        reason = "for Gemini or the storage"
    else:
        is_one = outage.is_all and outage.batches == 1
        reason = f"since Gemini refuses {'it' if is_one else 'them'}"

    age = span(max(0, now_ms - outage.since_ms) / 1000)
    cause = " ".join(outage.cause.split())[:MAX_CAUSE]
    return f"{waiting} {reason}, for {age} now: {cause}"


def _find_long_outages(outages: Iterable[Outage], now_ms: int) -> Iterator[str]:
    """An outage ends by itself, but who owns the storage or the key may end it sooner."""
    for outage in outages:
        if now_ms - outage.since_ms >= MIN_OUTAGE_S[outage.kind] * 1000:
            again = "nothing is lost, and each is tried again by itself"
            yield f"{describe_outage(outage, now_ms)}; {again}"


def _find_buried_and_dead(buried: int, dead_notices: int) -> Iterator[str]:
    if buried:
        yield (
            f"{count_of(buried, 'batch is', 'batches are')} buried:"
            f" `{COMMAND} inbox list --state buried` says why, `inbox retry --all-buried` tries"
            " again"
        )
    if dead_notices:
        yield (
            f"{count_of(dead_notices, 'notice is', 'notices are')} dead:"
            f" `{COMMAND} notices list --dead` says why, `notices retry --all-dead` sends them"
            " again"
        )


def _find_buried_submissions(buried: int) -> Iterator[str]:
    if buried:
        yield (
            f"{count_of(buried, 'submission is', 'submissions are')} buried:"
            f" `{COMMAND} submissions list --state buried` says why, `submissions resume` tries"
            " again"
        )


def _find_paused(paused: Mapping[str, int]) -> Iterator[tuple[str, bool]]:
    """What is said of each, and whether it has been paused for too long."""
    for project, for_s in paused.items():
        name = project or DEFAULT
        waits = f"the project {name} has been paused for {span(for_s)}: workers take nothing of it"
        resume = f"`{COMMAND} inbox resume --project {name}` goes on"
        is_long = for_s > MAX_PAUSE_S
        fear = ", and Gemini does not keep results for long" if is_long else ""
        yield f"{waits}{fear}; {resume}", is_long


def _find_unseen(projects: Iterable[ProjectStatus]) -> Iterator[str]:
    """What may have ended at Gemini without anybody here knowing."""
    for one in projects:
        project = one.project or DEFAULT
        if one.complete_s is None:
            yield (
                f"what there is at Gemini in the project {project}: no reconcile run has seen its"
                " whole list yet"
            )
        elif one.complete_s > STALE_S:
            yield (
                f"what ended at Gemini in the project {project}: no reconcile run has seen its"
                f" whole list for {one.complete_s // 3600} hours"
            )
