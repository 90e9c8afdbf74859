"""`status`: how things stand, on one screen."""

from collections.abc import Iterator, Mapping

import click
import msgspec
import redis

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable, shorten, show_age, show_moment
from receiver.cli.under_way import describe_running, describe_submissions
from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.inbox.live_workers import LiveWorker
from receiver.inbox.redis import connect
from receiver.notices.outbox import OutboxStatus
from receiver.outputs.wording import count_of
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.settings.locations import describe_redis, describe_storage
from receiver.settings.projects import DEFAULT
from receiver.settings.settings import Settings
from receiver.status.overview import LeasedBatch, Overview, ProjectStatus, SubmissionCounts
from receiver.status.overview_queries import take_overview
from receiver.status.problems import describe_outage

NONE_SEEN = "none was seen lately"
REGISTRATION = {
    True: "a webhook is registered",
    False: "no webhook is registered",
    None: "webhook unknown",
}


@command("status", "", "--json")
@json_option("a JSON object")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show how things stand on one screen.

    Exit code 1 when a problem needs attention: no worker or no web process is running, a project
    has no webhook or no secret (but for one that does without: no PUBLIC_URL and no secret is set),
    a webhook is not as it should be, a batch or a submission is buried, a notice is dead, a project
    has been paused for a day, an outage lasts, or Redis takes no writes or may lose what it is
    given. What is not known is listed as unknown, and changes no exit code.
    """
    settings = load_settings()
    with connect(settings.redis_url) as client:
        overview = take_overview(client, settings.projects)
        due_ms = _read_due(client, settings)

    if as_json:
        click.echo(msgspec.json.encode(overview))
    else:
        for label, text in _lines(overview, settings, due_ms):
            click.echo(f"{label:<10} {printable(text)}")

    for need in overview.needs:
        click.echo(printable(need), err=True)
    if overview.needs:
        ctx.exit(1)


def _read_due(client: "redis.Redis", settings: Settings) -> dict[str, int | None]:
    """When the next reconcile run of each project is due; None where that is not known."""
    interval_s = settings.reconcile_interval_s
    return {
        project: ReconcileLock(client, interval_s, project).read_due_ms() if interval_s else None
        for project in settings.projects
    }


def _lines(
    overview: Overview, settings: Settings, due_ms: Mapping[str, int | None]
) -> Iterator[tuple[str, str]]:
    yield "inbox", _inbox(overview)
    if overview.submissions != SubmissionCounts():
        yield from describe_submissions(overview.submissions)
    yield "redis", describe_redis(settings.redis_url)
    for problem in overview.redis:
        yield "redis", problem.text
    yield "storage", describe_storage(settings.storage_url)
    yield from _process_lines(overview)
    yield from _batch_lines(overview)
    yield from _gemini_lines(overview, due_ms)
    yield from _verdict_lines(overview)


def _process_lines(overview: Overview) -> Iterator[tuple[str, str]]:
    for process in overview.web:
        yield "web", _web(process)
    if not overview.web:
        yield "web", NONE_SEEN
    for worker in overview.workers:
        yield "worker", _worker(worker)
    if not overview.workers:
        yield "worker", NONE_SEEN


def _batch_lines(overview: Overview) -> Iterator[tuple[str, str]]:
    for leased in overview.leased:
        yield "leased", _leased(leased)
    for outage in overview.outages:
        yield "waiting", describe_outage(outage, overview.now_ms)
    for buried in overview.last_buried:
        ended = f"{_age(buried.age_s)} ago, after {buried.attempts} attempts"
        yield "buried", f"{buried.batch} {ended}: {shorten(buried.cause)}"
    for one in overview.deliveries:
        about = one.batch or one.cause or one.event
        yield "delivery", f"{show_moment(one.time_ms)} {one.verdict} {one.scheme or '-'} {about}"
    if overview.notices.waiting or overview.notices.dead:
        yield "notices", _notices(overview.notices)


def _gemini_lines(
    overview: Overview, due_ms: Mapping[str, int | None]
) -> Iterator[tuple[str, str]]:
    counted = ", ".join(f"{name} {count:,}" for name, count in overview.counters.items())
    yield "counters", counted or "no batch was counted as missed or unbalanced"
    for project in overview.projects:
        yield "reconcile", _reconcile_run(project, due_ms[project.project], overview.now_ms)
    for running in overview.running:
        yield from describe_running(running)


def _verdict_lines(overview: Overview) -> Iterator[tuple[str, str]]:
    for note in overview.notes:
        yield "note", note
    for unknown in overview.unknown:
        yield "unknown", unknown
    yield "in short", overview.headline


def _inbox(overview: Overview) -> str:
    oldest = overview.oldest_due_s
    due = f"{overview.due:,} due" + ("" if oldest is None else f", the oldest for {_age(oldest)}")
    pending = f"{overview.open:,} open, {len(overview.leased):,} leased ({due})"
    return f"{pending}, {overview.buried:,} buried, {overview.done:,} done"


def _leased(leased: LeasedBatch) -> str:
    by = leased.worker or "an unknown worker, which just started or was killed"
    return f"{leased.batch} for {_age(leased.for_s)} by {by}"


def _worker(worker: LiveWorker) -> str:
    batch = f" with {worker.batch}" if worker.batch else ""
    seen = "" if worker.heard_s is None else f", last heartbeat {_age(worker.heard_s)} ago"
    return f"{worker.name} on {worker.host} (process {worker.pid}): {worker.state}{batch}{seen}"


def _web(process: WebProcess) -> str:
    served = ", ".join(_served(one) for one in process.projects)
    return f"on {process.host} (process {process.pid}): {served}"


def _served(one: ServedProject) -> str:
    secrets = count_of(one.secrets, "secret", "secrets") if one.secrets else "no secret"
    return f"{one.project or DEFAULT} with {secrets}, {REGISTRATION[one.is_registered]}"


def _reconcile_run(project: ProjectStatus, due_ms: int | None, now_ms: int) -> str:
    label = project.project or DEFAULT
    if project.began_s is None:
        return f"{label}: there was no reconcile run yet"
    failed = ", which failed or has not ended" if project.failed else ""
    if project.complete_s is None:
        complete = "none has seen the whole list yet"
    else:
        complete = f"the whole list was seen {_age(project.complete_s)} ago"
    due = "" if due_ms is None else f"; the next one is due {_describe_due(due_ms - now_ms)}"
    return f"{label}: the last run began {_age(project.began_s)} ago{failed}; {complete}{due}"


def _describe_due(left_ms: int) -> str:
    return "now" if left_ms <= 0 else f"in {show_age(left_ms)}"


def _notices(notices: OutboxStatus) -> str:
    oldest = notices.oldest_due_s
    due = "" if oldest is None else f", the oldest due for {_age(oldest)}"
    return f"{notices.waiting:,} waiting{due}, {notices.dead:,} dead"


def _age(seconds: int) -> str:
    return show_age(seconds * 1000)
