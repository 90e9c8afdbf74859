"""`status`: how things stand, on one screen."""

from collections.abc import Iterator

import click
import msgspec

from receiver.cli.command import command, load_settings
from receiver.cli.moments import show_age, show_moment
from receiver.cli.printable import printable
from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.inbox.live_workers import LiveWorker
from receiver.inbox.redis import connect
from receiver.notices.outbox import OutboxStatus
from receiver.recovery.running_batches import RunningNow
from receiver.settings.projects import DEFAULT
from receiver.status.overview import LastLook, Overview, describe_outage, take_overview

MAX_CAUSE = 80


@command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show the inbox, the workers, the last deliveries and looks, and what was buried.

    Exit code 1 when something needs a person: no worker or no web process is running, no webhook or no secret is there
    for a project, a webhook is not as it should be, a batch is buried, a notice is dead, an outage lasts, or Redis
    takes no writes or may lose what it is given. What is not known is said to be unknown, and changes no exit code.
    """
    settings = load_settings()
    with connect(settings.redis_url) as client:
        overview = take_overview(client, settings.projects)
    if as_json:
        click.echo(msgspec.json.encode(overview))
    else:
        for label, text in _lines(overview):
            click.echo(f"{label:<10} {printable(text)}")
    for need in overview.needs:
        click.echo(printable(need), err=True)
    if overview.needs:
        ctx.exit(1)


def _lines(overview: Overview) -> Iterator[tuple[str, str]]:
    yield "inbox", _inbox(overview)
    for held in overview.leased:
        yield (
            "leased",
            f"{held.batch} for {_age(held.for_s)} by {held.worker or 'a worker that is gone or quite new'}",
        )
    yield from _process_lines(overview)
    for one in overview.deliveries:
        about = one.batch or one.cause or one.event
        yield "delivery", f"{show_moment(one.time_ms)} {one.verdict} {one.scheme or '-'} {about}"
    for outage in overview.outages:
        yield "waiting", describe_outage(outage, overview.now_ms)
    for lost in overview.last_buried:
        cause = " ".join(lost.cause.split())[:MAX_CAUSE]
        yield (
            "buried",
            f"{lost.batch} {_age(lost.age_s)} ago, after {lost.attempts} attempts: {cause}",
        )
    counted = ", ".join(f"{name} {count:,}" for name, count in overview.counters.items())
    yield "counters", counted or "no batch was counted as missed or unbalanced"
    for look in overview.looks:
        yield "reconcile", _look(look)
    for running in overview.running:
        yield "at Gemini", _running(running)
    if overview.notices.waiting or overview.notices.dead:
        yield "notices", _notices(overview.notices)
    yield from _verdict_lines(overview)


def _process_lines(overview: Overview) -> Iterator[tuple[str, str]]:
    for process in overview.web:
        yield "web", _web(process)
    if not overview.web:
        yield "web", "none was heard of lately"
    for worker in overview.workers:
        yield "worker", _worker(worker)
    if not overview.workers:
        yield "worker", "none was heard of lately"


def _verdict_lines(overview: Overview) -> Iterator[tuple[str, str]]:
    for finding in overview.redis:
        yield "redis", finding.text
    for unknown in overview.unknown:
        yield "unknown", unknown
    yield "in short", overview.headline


def _inbox(overview: Overview) -> str:
    oldest = (
        "" if overview.oldest_due_s is None else f", the oldest for {_age(overview.oldest_due_s)}"
    )
    due = f"{overview.due:,} due{oldest}"
    owed = f"{overview.open:,} open, {len(overview.leased):,} leased ({due})"
    return f"{owed}, {overview.buried:,} buried, {overview.done:,} done"


def _worker(worker: LiveWorker) -> str:
    heard = "" if worker.heard_s is None else f", heard of {_age(worker.heard_s)} ago"
    batch = f" with {worker.batch}" if worker.batch else ""
    return f"{worker.name} on {worker.host} (process {worker.pid}): {worker.state}{batch}{heard}"


def _web(process: WebProcess) -> str:
    served = ", ".join(_served(one) for one in process.projects)
    return f"on {process.host} (process {process.pid}): {served}"


def _served(one: ServedProject) -> str:
    registered = {
        True: "a webhook is registered",
        False: "no webhook is registered",
        None: "webhook unknown",
    }
    secrets = (
        "no secret" if not one.secrets else f"{one.secrets} secret{'s' if one.secrets > 1 else ''}"
    )
    return f"{one.project or DEFAULT} with {secrets}, {registered[one.is_registered]}"


def _look(look: LastLook) -> str:
    project = look.project or DEFAULT
    if look.began_s is None:
        return f"{project}: nobody has looked at Gemini's list yet"
    complete = (
        "none saw everything yet"
        if look.complete_s is None
        else f"all was seen {_age(look.complete_s)} ago"
    )
    ended = ", which failed or still goes on" if look.failed else ""
    return f"{project}: the last look was {_age(look.began_s)} ago{ended}; {complete}"


def _running(running: RunningNow) -> str:
    """What has not ended, as of the last reconcile run."""
    project = running.project or DEFAULT
    seen = f"{running.count:,} not ended when the list was seen {_age(running.seen_s)} ago"
    if not running.batches:
        return f"{project}: {seen}"
    oldest = running.batches[0]
    age = "of unknown age" if oldest.age_s is None else f"for {_age(oldest.age_s)}"
    return f"{project}: {seen}, {running.overdue:,} overdue; the oldest is {oldest.batch}, {oldest.state} {age}"


def _notices(notices: OutboxStatus) -> str:
    late = (
        "" if notices.oldest_due_s is None else f", the oldest due for {_age(notices.oldest_due_s)}"
    )
    return f"{notices.waiting:,} waiting{late}, {notices.dead:,} dead"


def _age(seconds: int) -> str:
    return show_age(seconds * 1000)
