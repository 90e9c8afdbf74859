"""`batches list`: what Gemini lists, beside what is stored."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import click
import msgspec

from receiver.cli.command import command, load_settings
from receiver.cli.moments import Moment
from receiver.cli.printable import printable
from receiver.cli.projects import choose_projects, end_with, project_option
from receiver.cli.stored import parse_record, read_record
from receiver.errors import ManifestError, ReceiverError
from receiver.gemini.operations import TERMINAL_STATES, Batch, Unread
from receiver.gemini.project_client import ProjectClient, open_each
from receiver.outputs.judgement import judge_manifest
from receiver.storage import Storage, open_storage
from receiver.storage.ordered_map import ordered_map

UNREADABLE = "UNREADABLE"
STATES = ("PENDING", "RUNNING", *sorted(TERMINAL_STATES))


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


@command("list")
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
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="Show at most so many.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def list_command(
    *, states: tuple[str, ...], since: str | None, label: str | None, limit: int, as_json: bool
) -> None:
    """List the batches that Gemini knows, newest first, and whether they are stored.

    One that can't be read is a row with the reason, and takes no other with it; `--state` leaves it out.
    Exit code 1 when Gemini or the storage failed for a project; the other projects' batches are shown all the same.
    """
    settings = load_settings()
    storage = open_storage(settings.storage_url)
    failures = list[str]()
    with open_each(settings, choose_projects(settings, label)) as projects:
        found = _newest_first(projects, since, failures)
        wanted = (
            one for one in found if not states or (isinstance(one, Batch) and one.state in states)
        )
        rows = _rows(islice(wanted, limit), storage)
        if as_json:
            click.echo(msgspec.json.encode(list(rows)))
        else:
            _print(rows, limit)
    end_with(failures)


def _newest_first(
    projects: Mapping[str, ProjectClient], since: str | None, failures: list[str]
) -> Iterator[Batch | Unread]:
    """The batches of all projects. Pages are fetched as they are needed; what fails goes to `failures`."""
    lists = [_listed(one, since, failures) for one in projects.values()]
    return (one for _, one in heapq.merge(*lists, key=lambda dated: dated[0], reverse=True))


def _listed(
    project: ProjectClient, since: str | None, failures: list[str]
) -> Iterator[tuple[str, Batch | Unread]]:
    """Each with the moment by which it is ordered; what can't be read stands behind what came before it."""
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
    """When it was created, so that moments with and without fractions of a second compare."""
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
        name = batch.name or "(no name)"
        return BatchRow(
            name, UNREADABLE, None, None, None, None, None, 0, 0, stored=False, problem=batch.reason
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


def _print(rows: Iterator[BatchRow], limit: int) -> None:
    count = 0
    for count, row in enumerate(rows, 1):
        if count == 1:
            done = f"{'done':>7} {'failed':>7} {'all':>7}"
            click.echo(
                f"{'batch':<44}  {'state':<9}  {'created':<20}  {done}  {'stored':<28}  {'model':<24}  name"
            )
        click.echo(_line(row))
    more = "; there may be more: raise --limit" if count == limit else ""
    click.echo(f"{count} batches{more}", err=True)


def _line(row: BatchRow) -> str:
    if row.problem is not None:
        return f"{printable(row.batch):<44}  can't be read: {printable(row.problem)}"
    counts = (
        f"{row.succeeded:>7} {row.failed:>7} {'?' if row.requests is None else row.requests:>7}"
    )
    created = (row.created or "")[:19] + ("Z" if row.created else "")
    model = printable((row.model or "").removeprefix("models/"))
    where = f"{row.batch:<44}  {printable(row.state):<9}  {created:<20}"
    stored = {None: "no", "stored": "yes"}.get(row.judgement) or str(row.judgement).removeprefix(
        "stored; "
    )
    return f"{where}  {counts}  {printable(stored):<28}  {model:<24}  {printable(row.display_name or '')}".rstrip()
