"""`replay`: finds what was missed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.command import command, load_settings
from receiver.cli.look_words import describe_expired, describe_unclear
from receiver.cli.moments import Moment
from receiver.cli.progress import Progress, show_progress
from receiver.cli.projects import (
    choose_projects,
    end_with,
    go_through,
    names_of,
    project_option,
    read_name,
)
from receiver.cli.replay_again import store_again
from receiver.gemini.operations import Batch, Unread
from receiver.gemini.project_client import ProjectClient, open_batches
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from receiver.recovery.manual_actions import Readmission
from receiver.recovery.replay import Asking, ReplayCounts, Window, add_counts, find_stored, replay
from receiver.settings.projects import DEFAULT, Project
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage


@command("replay")
@click.option(
    "--since",
    type=Moment(),
    help="Only batches that ended at or after this moment: 36h, 7d or RFC 3339.",
)
@click.option("--until", type=Moment(), help="Only batches that ended before this moment.")
@click.option("--failed", is_flag=True, help="Only buried batches.")
@click.option(
    "--batch", "names", multiple=True, help="Only this batch; may be given several times."
)
@click.option(
    "--again",
    "again",
    metavar="BATCH",
    multiple=True,
    help="Store this batch once more, though it is stored; its manifest is set aside once the results came.",
)
@project_option
@click.option("--dry-run", is_flag=True, help="Say what would be queued and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
@click.pass_context
def replay_command(  # noqa: PLR0913 - one parameter an option
    ctx: click.Context,
    *,
    since: str | None,
    until: str | None,
    failed: bool,
    names: tuple[str, ...],
    again: tuple[str, ...],
    label: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask Gemini for every project's batches and queue the finished ones that are not stored.

    Exit code 1 when Gemini, the storage or Redis failed, or when Gemini did not show one of the batches, or
    not in a form that can be read.
    """
    if failed and names:
        raise click.UsageError("--failed and --batch exclude each other")
    if again and (failed or names or since or until):
        raise click.UsageError(
            "--again names its batches itself: it goes with --project, --dry-run and --json only"
        )
    settings = load_settings()
    if again:
        store_again(
            settings,
            [read_name(settings, name, label) for name in again],
            dry_run=dry_run,
            as_json=as_json,
        )
        return
    wanted = [read_name(settings, name, label) for name in names]
    choice = _Choice(Window(since, until), wanted, failed=failed)
    parts, failures = _replay(settings, label, choice, dry_run=dry_run)
    counts = add_counts(parts)
    if parts and as_json:
        click.echo(msgspec.json.encode(counts))
    elif parts:
        _print(counts, dry_run=dry_run)
    end_with(failures)
    if counts.unclear:
        ctx.exit(1)


@dataclass(frozen=True)
class _Choice:
    """Which batches are looked at."""

    window: Window
    names: Sequence[str]  # only these; empty for all that Gemini lists
    failed: bool  # only buried ones

    @property
    def is_named(self) -> bool:
        return self.failed or bool(self.names)


def _print(counts: ReplayCounts, *, dry_run: bool) -> None:
    for name in counts.queued:
        click.echo(f"{'would queue' if dry_run else 'queued'} {name}", err=True)
    for line in describe_unclear(counts):
        click.echo(line, err=True)
    rest = (
        (counts.pending, "already queued"),
        (counts.unfinished, "not finished"),
        (len(counts.unclear), "unclear"),
    )
    extra = "".join(f", {count} {words}" for count, words in rest if count)
    if counts.expired:
        click.echo(describe_expired(counts), err=True)
    verb = "to queue" if dry_run else "queued"
    click.echo(
        f"{counts.found} found, {counts.stored} already stored, {len(counts.queued)} {verb}{extra}"
    )


def _replay(
    settings: Settings, label: str | None, choice: _Choice, *, dry_run: bool
) -> tuple[list[ReplayCounts], list[str]]:
    """What was seen of each project, and what failed."""
    projects, storage = choose_projects(settings, label), open_storage(settings.storage_url)
    with connect(settings.redis_url) as client:
        readmission = Readmission(client, dry_run=dry_run)
        names = InboxQueries(client).names("buried") if choice.failed else choice.names
        strangers = [
            name
            for name in names
            if BatchName.read(name).project not in {one.name for one in projects}
        ]
        if strangers and not choice.failed:
            raise click.UsageError(f"of no project that is asked for: {', '.join(strangers)}")

        def look(project: Project) -> ReplayCounts:
            own = names_of(project, names) if choice.is_named else None
            with open_batches(settings, project) as batches:
                return _look(batches, storage, readmission, own, choice)

        parts, failures = go_through(projects, look)
    if strangers and label is None:
        failures.append(f"of no project that is known here: {', '.join(strangers)}")
    return parts, failures


def _counted(listed: Iterable[Batch | Unread], bar: Progress) -> Iterator[Batch | Unread]:
    for batch in listed:
        bar.advance()
        yield batch


def _look(
    batches: ProjectClient,
    storage: Storage,
    readmission: Readmission,
    names: Sequence[str] | None,
    choice: _Choice,
) -> ReplayCounts:
    """Look at these batches of one project, or at all that Gemini lists."""
    before = ReplayCounts()
    listed: Iterable[Batch | Unread]
    if names is None:
        listed = batches.list()
    elif choice.failed:
        asking = Asking(batches.get, before)
        listed = (batch for name in names if (batch := asking.get(name)) is not None)
    else:
        listed = (batches.get(name) for name in names)
    with show_progress(
        f"looking at {batches.project or DEFAULT}", "batches", None if names is None else len(names)
    ) as bar:
        heard = _counted(listed, bar)
        counts = replay(
            heard,
            batches.get,
            lambda asked: find_stored(storage, asked),
            lambda missing: readmission.admit(missing, batches.gives_results),
            choice.window,
        )
    return add_counts([counts, before])
