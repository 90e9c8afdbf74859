"""`replay`: finds what was missed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.batch_lookup import complete_batch, find_batches
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.option_types import Moment
from receiver.cli.output import printable
from receiver.cli.progress import Progress, show_progress
from receiver.cli.projects import (
    choose_projects,
    end_with,
    go_through,
    names_of,
    project_option,
    projects_of,
)
from receiver.gemini.operations import Batch, Unread
from receiver.gemini.project_client import ProjectClient, open_client
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from receiver.recovery import manual_actions
from receiver.recovery.manual_actions import Readmission
from receiver.recovery.replay import Asking, ReplayCounts, Window, add_counts, find_stored, replay
from receiver.retry import RESULTS_LIVE_S
from receiver.settings.projects import DEFAULT, Project
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage

NEXT = "`gemini-batch-receiver batches watch` waits until they are stored"


@command("replay", "", "--since 36h", "--batch batches/abc --dry-run", "--again batches/abc")
@click.option(
    "--since", type=Moment(), help="Only batches that ended then or later: 36h, 7d or RFC 3339."
)
@click.option("--until", type=Moment(), help="Only batches that ended before this moment.")
@click.option("--failed", is_flag=True, help="Only buried batches.")
@click.option(
    "--batch",
    "names",
    multiple=True,
    shell_complete=complete_batch,
    help="Only this batch; may be given several times.",
)
@click.option(
    "--again",
    "again",
    metavar="BATCH",
    multiple=True,
    shell_complete=complete_batch,
    help="Store this stored batch again; its manifest is kept below _replaced/.",
)
@project_option
@click.option("--dry-run", is_flag=True, help="Say what would be queued and change nothing.")
@json_option("a JSON object")
@click.pass_context
def replay_command(  # noqa: PLR0913 - one parameter per option
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
    """Queue finished batches that are not stored.

    Asks Gemini for the batches of every project. Exit code 1 when Gemini, the storage or Redis
    failed, or when Gemini did not show a batch, or not in a form that can be read.
    """
    if failed and names:
        raise click.UsageError("--failed and --batch exclude each other")
    if again and (failed or names or since or until):
        raise click.UsageError(
            "--again names its batches itself: it goes with --project, --dry-run and --json only"
        )
    settings = load_settings()
    if again:
        stored = find_batches(settings, again, label)
        _store_again(settings, stored, dry_run=dry_run, as_json=as_json)
        return

    wanted = find_batches(settings, names, label, ask_gemini="always")
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


def print_unclear(counts: ReplayCounts) -> None:
    """Print a line for each batch without a verdict, and one for all expired ones.

    Nobody can do anything about those.
    """
    for name, reason in zip(counts.unclear, counts.reasons, strict=True):
        click.echo(printable(f"unclear: {name}: {reason}"), err=True)
    if counts.expired:
        ended = f"ended more than {RESULTS_LIVE_S / 3600:.0f} hours ago"
        whose = "its results are" if len(counts.expired) == 1 else "their results are"
        click.echo(f"{len(counts.expired)} {ended} and {whose} gone: expired", err=True)


def join_counts(*counts: tuple[int, str]) -> str:
    """The counts that are not 0, for the end of a line.

    >>> join_counts((2, "already queued"), (0, "unclear"))
    ', 2 already queued'
    """
    return "".join(f", {count} {words}" for count, words in counts if count)


def _print(counts: ReplayCounts, *, dry_run: bool) -> None:
    for name in counts.queued:
        click.echo(f"{'would queue' if dry_run else 'queued'} {name}", err=True)
    print_unclear(counts)
    extra = join_counts(
        (counts.pending, "already queued"),
        (counts.unfinished, "not finished"),
        (len(counts.unclear), "unclear"),
    )
    verb = "to queue" if dry_run else "queued"
    click.echo(
        f"{counts.found} found, {counts.stored} already stored, {len(counts.queued)} {verb}{extra}"
    )
    if counts.queued and not dry_run:
        click.echo(NEXT, err=True)


def _store_again(settings: Settings, names: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    """Queue stored batches to be stored again.

    Exit code 1, with the reason, where Gemini has no results of one.
    """
    queued, failures = list[str](), list[str]()
    with connect(settings.redis_url) as client:
        for project in projects_of(settings, names):
            for name in names_of(project, names):

                def ask(project: Project, name: str = name) -> str:
                    with open_client(settings, project) as batches:
                        manual_actions.store_again(batches, client, name, dry_run=dry_run)
                    return name

                done, failed = go_through([project], ask)
                queued += done
                failures += failed

    if as_json:
        click.echo(msgspec.json.encode({"queued": queued}))
    else:
        for name in queued:
            click.echo(f"{'would queue' if dry_run else 'queued'} {name} to be stored again")
    end_with(failures)


def _replay(
    settings: Settings, label: str | None, choice: _Choice, *, dry_run: bool
) -> tuple[list[ReplayCounts], list[str]]:
    """What was seen of each project, and what failed."""
    projects, storage = choose_projects(settings, label), open_storage(settings.storage_url)
    with connect(settings.redis_url) as client:
        readmission = Readmission(client, dry_run=dry_run)
        names = InboxQueries(client).names("buried") if choice.failed else choice.names
        known = {project.name for project in projects}
        strangers = [name for name in names if BatchName.read(name).project not in known]
        if strangers and not choice.failed:
            raise click.UsageError(f"of no project that is asked for: {', '.join(strangers)}")

        def replay_project(project: Project) -> ReplayCounts:
            own = names_of(project, names) if choice.is_named else None
            with open_client(settings, project) as batches:
                return _replay_project(batches, storage, readmission, own, choice)

        parts, failures = go_through(projects, replay_project)
    if strangers and label is None:
        failures.append(f"of no project that is known here: {', '.join(strangers)}")
    return parts, failures


def _counted(listed: Iterable[Batch | Unread], bar: Progress) -> Iterator[Batch | Unread]:
    for batch in listed:
        bar.advance()
        yield batch


def _replay_project(
    batches: ProjectClient,
    storage: Storage,
    readmission: Readmission,
    names: Sequence[str] | None,
    choice: _Choice,
) -> ReplayCounts:
    """Replay these batches of one project, or all that Gemini lists."""
    before = ReplayCounts()
    listed: Iterable[Batch | Unread]
    if names is None:
        listed = batches.list()
    elif choice.failed:
        asking = Asking(batches.get, before)
        listed = (batch for name in names if (batch := asking.get(name)) is not None)
    else:
        listed = (batches.get(name) for name in names)

    label, whole = f"reading {batches.project or DEFAULT}", None if names is None else len(names)
    with show_progress(label, "batches", whole) as bar:
        counts = replay(
            _counted(listed, bar),
            batches.get,
            lambda asked: find_stored(storage, asked),
            lambda missing: readmission.admit(missing, batches.gives_results),
            choice.window,
        )
    return add_counts([counts, before])
