"""`status`: the whole service on one screen."""

from collections.abc import Iterator

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable, shorten, show_age, show_moment
from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.inbox.live_workers import LiveWorker
from receiver.inbox.redis import connect
from receiver.notices.outbox import OutboxStatus
from receiver.recovery.running_batches import RunningNow
from receiver.settings.projects import DEFAULT
from receiver.status.overview import LastLook, Overview, describe_outage, take_overview


@command("status", "", "--json")
@json_option("a JSON object")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show how things stand on one screen.

    That is the inbox, the processes, the last deliveries and reconcile runs, buried and waiting
    batches. Exit code 1 when a problem needs attention: no worker or no web process is running, a
    project has no webhook or no secret, a webhook has a fault, a batch is buried, a notice is dead,
    an outage lasts, or Redis takes no writes or may lose data. What nobody knows is listed as
    unknown, and does not change the exit code.
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
        worker = held.worker or "a worker that has stopped or just started"
        yield "leased", f"{held.batch} for {_age(held.for_s)} by {worker}"
    yield from _process_lines(overview)
    for one in overview.deliveries:
        about = one.batch or one.cause or one.event
        yield "delivery", f"{show_moment(one.time_ms)} {one.verdict} {one.scheme or '-'} {about}"
    for outage in overview.outages:
        yield "waiting", describe_outage(outage, overview.now_ms)
    for lost in overview.last_buried:
        since = f"{_age(lost.age_s)} ago, after {lost.attempts} attempts"
        yield "buried", f"{lost.batch} {since}: {shorten(lost.cause)}"
    counted = ", ".join(f"{name} {count:,}" for name, count in overview.counters.items())
    yield "counters", counted or "no batch was counted as missed or unbalanced"
    for look in overview.looks:
        yield "reconcile", _reconcile(look)
    for running in overview.running:
        yield "at Gemini", _running(running)
    if overview.notices.waiting or overview.notices.dead:
        yield "notices", _notices(overview.notices)
    yield from _verdict_lines(overview)


def _process_lines(overview: Overview) -> Iterator[tuple[str, str]]:
    for process in overview.web:
        yield "web", _web(process)
    if not overview.web:
        yield "web", "none is running"
    for worker in overview.workers:
        yield "worker", _worker(worker)
    if not overview.workers:
        yield "worker", "none is running"


def _verdict_lines(overview: Overview) -> Iterator[tuple[str, str]]:
    for finding in overview.redis:
        yield "redis", finding.text
    for unknown in overview.unknown:
        yield "unknown", unknown
    yield "in short", overview.headline


def _inbox(overview: Overview) -> str:
    oldest_s = overview.oldest_due_s
    oldest = "" if oldest_s is None else f", the oldest for {_age(oldest_s)}"
    due = f"{overview.due:,} due{oldest}"
    pending = f"{overview.open:,} open, {len(overview.leased):,} leased ({due})"
    return f"{pending}, {overview.buried:,} buried, {overview.done:,} done"


def _worker(worker: LiveWorker) -> str:
    seen = "" if worker.heard_s is None else f", seen {_age(worker.heard_s)} ago"
    batch = f" with {worker.batch}" if worker.batch else ""
    return f"{worker.name} on {worker.host} (process {worker.pid}): {worker.state}{batch}{seen}"


def _web(process: WebProcess) -> str:
    served = ", ".join(_served(one) for one in process.projects)
    return f"on {process.host} (process {process.pid}): {served}"


def _served(one: ServedProject) -> str:
    registered = {
        True: "a webhook is registered",
        False: "no webhook is registered",
        None: "webhook unknown",
    }
    count = one.secrets
    secrets = f"{count} secret{'s' if count > 1 else ''}" if count else "no secret"
    return f"{one.project or DEFAULT} with {secrets}, {registered[one.is_registered]}"


def _reconcile(look: LastLook) -> str:
    project = look.project or DEFAULT
    if look.began_s is None:
        return f"{project}: there was no run yet"
    ended = ", and failed or still goes on" if look.failed else ""
    complete = "no run was complete yet"
    if look.complete_s is not None:
        complete = f"the last complete one {_age(look.complete_s)} ago"
    return f"{project}: the last run began {_age(look.began_s)} ago{ended}; {complete}"


def _running(running: RunningNow) -> str:
    """What has not ended, as of the last reconcile run."""
    project = running.project or DEFAULT
    seen = f"{running.count:,} not ended when the list was seen {_age(running.seen_s)} ago"
    if not running.batches:
        return f"{project}: {seen}"
    oldest = running.batches[0]
    age = "of unknown age" if oldest.age_s is None else f"for {_age(oldest.age_s)}"
    first = f"the oldest is {oldest.batch}, {oldest.state} {age}"
    return f"{project}: {seen}, {running.overdue:,} overdue; {first}"


def _notices(notices: OutboxStatus) -> str:
    due_s = notices.oldest_due_s
    late = "" if due_s is None else f", the oldest due for {_age(due_s)}"
    return f"{notices.waiting:,} waiting{late}, {notices.dead:,} dead"


def _age(seconds: int) -> str:
    return show_age(seconds * 1000)
