"""`batches list`: what Gemini lists, beside what is stored."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import click
import msgspec

from receiver.cli.command import command, json_option, limit_option, load_settings
from receiver.cli.option_types import Moment
from receiver.cli.output import printable, shorten
from receiver.cli.projects import choose_projects, end_with, project_option
from receiver.cli.stored import parse_record, read_record
from receiver.errors import ManifestError, ReceiverError
from receiver.gemini.operations import TERMINAL_STATES, Batch, Unread
from receiver.gemini.project_client import ProjectClient, open_clients
from receiver.outputs.judgement import judge_manifest
from receiver.outputs.wording import count_of
from receiver.storage import Storage, open_storage
from receiver.storage.ordered_map import ordered_map

UNREADABLE = "UNREADABLE"
STATES = ("PENDING", "RUNNING", *sorted(TERMINAL_STATES))
MAX_NAME = 28
BATCH_WIDTH = 44  # of a name without its project
MODEL_WIDTH = 30


class BatchRow(msgspec.Struct, frozen=True):
    """One batch, as a program reads it."""

    batch: str  # its name in the inbox
    state: str
    display_name: str | None
    model: str | None
    created: str | None
    ended: str | None
    requests: int | None
    succeeded: int
    failed: int
    stored: bool  # has a manifest
    judgement: str | None = None  # of a stored one: "stored", or "stored; 35 errors, 2 missing"
    problem: str | None = None  # why it can't be read; then nothing else is known of it


@command("list", "", "--state RUNNING --state PENDING --since 7d --limit 500")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Only batches in this state; may be given several times.",
)
@click.option(
    "--since",
    type=Moment(),
    help="Only batches created at or after this moment: 36h, 7d or RFC 3339.",
)
@project_option
@limit_option
@json_option("a JSON list")
def list_command(
    *, states: tuple[str, ...], since: str | None, label: str | None, limit: int, as_json: bool
) -> None:
    """List the batches that Gemini knows, newest first.

    Also says whether they are stored. A batch that can't be read is a row with the reason;
    `--state` leaves it out. Exit code 1 when Gemini or the storage failed for a project; the
    batches of the other projects are shown all the same.
    """
    settings = load_settings()
    storage = open_storage(settings.storage_url)
    failures = list[str]()
    with open_clients(settings, choose_projects(settings, label)) as projects:
        found = _newest_first(projects, since, failures)
        wanted = (
            one for one in found if not states or (isinstance(one, Batch) and one.state in states)
        )
        rows = _rows(islice(wanted, limit), storage)
        if as_json:
            click.echo(msgspec.json.encode(list(rows)))
        else:
            prefix = max((len(f"{name}/") for name in projects if name), default=0)
            _print(rows, limit, BATCH_WIDTH + prefix)
    end_with(failures)


def _newest_first(
    projects: Mapping[str, ProjectClient], since: str | None, failures: list[str]
) -> Iterator[Batch | Unread]:
    """The batches of all projects, page by page as needed; errors go to `failures`."""
    lists = [_listed(one, since, failures) for one in projects.values()]
    return (one for _, one in heapq.merge(*lists, key=lambda dated: dated[0], reverse=True))


def _listed(
    project: ProjectClient, since: str | None, failures: list[str]
) -> Iterator[tuple[str, Batch | Unread]]:
    """Each batch with its sort key, which one that can't be read has of the one before."""
    created = ""
    try:
        for one in project.list():
            created = _created(one) if isinstance(one, Batch) else created
            if since and isinstance(one, Batch) and created < since:
                return
            yield created, one
    except ReceiverError as error:
        failures.append(f"{project.project}: {error}" if project.project else str(error))


def _created(batch: Batch) -> str:
    """When it was created, comparable with and without fractions of a second."""
    return (batch.created or "").removesuffix("Z")


def _rows(found: Iterable[Batch | Unread], storage: Storage) -> Iterator[BatchRow]:
    """What is listed, beside what is stored. Raises StorageError."""

    def row(one: Batch | Unread) -> BatchRow:
        is_ended = isinstance(one, Batch) and one.is_terminal
        return _row(one, _judge_stored(storage, one.name) if is_ended else None)

    return ordered_map(row, found)


def _judge_stored(storage: Storage, name: str) -> str | None:
    """What is said of a batch that is stored; None when it is not."""
    data = read_record(storage, name)
    try:
        return None if data is None else judge_manifest(parse_record(name, data)).text
    except ManifestError:
        return "stored; its manifest can't be read"


def _row(batch: Batch | Unread, judgement: str | None) -> BatchRow:
    if isinstance(batch, Unread):
        return BatchRow(
            batch=batch.name or "(no name)",
            state=UNREADABLE,
            display_name=None,
            model=None,
            created=None,
            ended=None,
            requests=None,
            succeeded=0,
            failed=0,
            stored=False,
            problem=batch.reason,
        )
    return BatchRow(
        batch=batch.name,
        state=batch.state,
        display_name=batch.display_name,
        model=batch.model,
        created=batch.created,
        ended=batch.ended,
        requests=batch.requests,
        succeeded=batch.stats.succeeded,
        failed=batch.stats.failed,
        stored=judgement is not None,
        judgement=judgement,
    )


def _print(rows: Iterator[BatchRow], limit: int, batch_width: int) -> None:
    """Rows are printed as they come, so all columns but the last have fixed widths."""
    count = 0
    for count, row in enumerate(rows, 1):
        if count == 1:
            done = f"{'done':>7} {'failed':>7} {'all':>7}"
            click.echo(
                f"{'name':<{MAX_NAME}}  {'batch':<{batch_width}}  {'state':<9}  {'created':<20}"
                f"  {done}  {'model':<{MODEL_WIDTH}}  stored"
            )
        click.echo(_line(row, batch_width))
    more = "; there may be more: raise --limit" if count == limit else ""
    click.echo(f"{count_of(count, 'batch', 'batches')}{more}", err=True)


def _line(row: BatchRow, batch_width: int) -> str:
    name = shorten(row.display_name or "", MAX_NAME)
    batch = f"{name:<{MAX_NAME}}  {printable(row.batch):<{batch_width}}"
    if row.problem is not None:
        return f"{batch}  can't be read: {printable(row.problem)}"

    requests = "?" if row.requests is None else row.requests
    counts = f"{row.succeeded:>7} {row.failed:>7} {requests:>7}"
    created = (row.created or "")[:19] + ("Z" if row.created else "")
    stored = "no" if row.judgement is None else f"yes{row.judgement.removeprefix('stored')}"
    model = printable((row.model or "").removeprefix("models/"))
    state = f"{printable(row.state):<9}  {created:<20}"
    return f"{batch}  {state}  {counts}  {model:<{MODEL_WIDTH}}  {printable(stored)}"
