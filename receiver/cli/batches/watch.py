"""`batches watch`: waits for batches, and ends by what became of them."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import get_args

import click
import redis

from receiver.batch_names import BatchName
from receiver.cli.batch_lookup import complete_batch, find_batches
from receiver.cli.batches.watch_views import View, describe, open_view
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.pace import INTERRUPTED, Pace, look_until_done, pace_options
from receiver.cli.projects import (
    choose_projects,
    project_of,
    project_option,
    projects_of,
)
from receiver.errors import InboxUnavailableError
from receiver.gemini.operations import Unread, is_older
from receiver.gemini.project_client import ProjectClient, open_clients
from receiver.inbox.ledger import Inbox
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from receiver.outputs.paths import batch_folder
from receiver.outputs.wording import count_of
from receiver.recovery.batch_watch import BatchStatus, BatchWatch, Until
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.recovery.replay import find_stored
from receiver.retry import RESULTS_LIVE_S, format_rfc3339
from receiver.settings.locations import describe_storage
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage

OLDEST = timedelta(days=3)  # a batch expires after two


@command("watch", "", "abc def", "evening --until ended --interval 30 --timeout 3600")
@click.argument("names", metavar="[BATCH]...", nargs=-1, shell_complete=complete_batch)
@click.option(
    "--until",
    type=click.Choice(get_args(Until)),
    default="stored",
    show_default=True,
    help="Wait until a batch is stored, or only until it has ended at Gemini.",
)
@pace_options
@project_option
@json_option("a JSON object per change")
@click.pass_context
def watch_command(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    names: tuple[str, ...],
    until: Until,
    interval: float,
    timeout: float | None,
    label: str | None,
    as_json: bool,
) -> None:
    """Wait until batches are stored.

    Without names, waits for all batches of the last three days that still run or are not stored.
    Exit code 0 when every request of all of them is answered; 1 when one is not, when a batch did
    not succeed, or when time ran out; 130 after Ctrl-C, which stops only the watching.
    With `--until ended` Gemini's own counts decide.
    """
    settings = load_settings()
    wanted = find_batches(settings, names, label, ask_gemini="always")
    projects = projects_of(settings, wanted) if wanted else choose_projects(settings, label)
    try:
        with connect(settings.redis_url) as client, open_clients(settings, projects) as asked:
            storage = open_storage(settings.storage_url)
            chosen = wanted or [
                *_list_unfinished(asked, storage, until),
                *_find_pending(asked, client, project_of(label)),
            ]
            statuses = {name: BatchStatus(name) for name in dict.fromkeys(chosen)}
            find_next_run = _next_run_finder(client, settings)
            inbox = Inbox(client)
            watch = BatchWatch(statuses, asked, storage, inbox, until, find_next_run)
            with open_view(as_json=as_json) as view:
                _poll_until_done(watch, Pace(interval, timeout), view)
    except KeyboardInterrupt:
        click.echo("stopped watching; the batches go on", err=True)
        ctx.exit(INTERRUPTED)
    if not _conclude(watch, settings):
        ctx.exit(1)


def _list_unfinished(
    projects: Mapping[str, ProjectClient], storage: Storage, until: Until
) -> Iterator[str]:
    """What has not ended at Gemini, or has ended lately and is not stored."""
    now = datetime.now(UTC)
    oldest, gone = (
        format_rfc3339((now - age).timestamp())
        for age in (OLDEST, timedelta(seconds=RESULTS_LIVE_S))
    )
    ended = list[str]()
    for one in projects.values():
        for found in takewhile(lambda batch: not is_older(batch, oldest), one.list()):
            if isinstance(found, Unread):
                name = found.name or "a batch without a name"
                click.echo(f"{name} can't be read: {found.reason}", err=True)
            elif not found.is_terminal:
                yield found.name
            elif found.ended is None or found.ended >= gone:
                ended.append(found.name)
    if until == "stored":
        stored = find_stored(storage, ended)
        yield from (name for name in ended if name not in stored)


def _find_pending(
    projects: Mapping[str, ProjectClient], client: "redis.Redis", project: str | None
) -> list[str]:
    """What has ended and waits in the inbox."""
    queries = InboxQueries(client)
    try:
        pending = [*queries.names("leased", project), *queries.names("open", project)]
    except InboxUnavailableError as error:
        click.echo(f"{error}: watching only what Gemini lists", err=True)
        return []
    return [name for name in pending if BatchName.read(name).project in projects]


def _next_run_finder(client: "redis.Redis", settings: Settings) -> Callable[[str], int | None]:
    """Tells when the next reconcile run of a project is due; None where there is none."""
    interval_s = settings.reconcile_interval_s

    def find(project: str) -> int | None:
        return ReconcileLock(client, interval_s, project).read_due_ms() if interval_s else None

    return find


def _poll_until_done(watch: BatchWatch, pace: Pace, view: View) -> None:
    def look() -> bool:
        changed = watch.poll()
        view.show(list(watch.statuses.values()), changed)
        return not watch.open

    look_until_done(look, pace, lambda fault: view.print(str(fault)))


NOTHING = (
    "nothing to watch: no batch runs at Gemini or waits in the inbox, and those that ended lately"
    " are stored; `gemini-batch-receiver batches list` shows them"
)


def _conclude(watch: BatchWatch, settings: Settings) -> bool:
    """Say what is not well, and where the rest is stored. True when everything is well."""
    statuses = watch.statuses.values()
    for status in watch.open:
        click.echo(f"{status.batch}: not done yet: {describe(status)}", err=True)
    for status in statuses:
        for reason in status.wrong:
            click.echo(f"{status.batch}: {printable(reason)}", err=True)
        if status.advice:
            click.echo(f"{status.batch}: {status.advice}", err=True)
        if status.stored and not status.wrong:
            click.echo(f"{status.batch}: {_say_where(status.batch, settings)}", err=True)
    well = sum(status.is_done and not status.wrong for status in statuses)
    summary = f"{well} of {count_of(len(statuses), 'batch is', 'batches are')} well"
    click.echo(summary if statuses else NOTHING, err=True)
    return well == len(statuses)


def _say_where(name: str, settings: Settings) -> str:
    folder = describe_storage(settings.storage_url, batch_folder(name))
    command = f"gemini-batch-receiver batches show {BatchName.read(name).short}"
    return f"stored in {folder}; `{command}` says what became of each request"
