"""`inbox retry`, `bury` and `purge`: move batches by hand."""

from collections.abc import Mapping, Sequence
from functools import partial

import click

from receiver.cli.batch_lookup import complete_batch, find_batches
from receiver.cli.command import command, json_option, load_settings, yes_option
from receiver.cli.inbox import explain_unknown
from receiver.cli.output import print_done, printable
from receiver.cli.projects import project_of, project_option
from receiver.inbox.entries import Entry, State
from receiver.inbox.ledger import Inbox
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from receiver.outputs.wording import count_of
from receiver.recovery.manual_actions import find_buried, retry
from receiver.settings.settings import Settings


@command("retry", "batches/abc", "--all-buried", '--all-buried --cause "quota"')
@click.argument("batches", metavar="[BATCH]...", nargs=-1, shell_complete=complete_batch)
@click.option("--all-buried", is_flag=True, help="Every buried batch.")
@click.option("--cause", default="", help="Of the buried ones, those with this text in the cause.")
@project_option
@json_option("a JSON object")
def retry_batches(
    batches: tuple[str, ...], *, all_buried: bool, cause: str, label: str | None, as_json: bool
) -> None:
    """Work on batches again, from the first attempt.

    Exit code 1 when the inbox does not know one.
    """
    if cause and not all_buried:
        raise click.UsageError("--cause chooses among the buried batches: add --all-buried")
    settings = load_settings()
    with connect(settings.redis_url) as client:
        project = project_of(label)
        buried = list(find_buried(client, project, cause)) if all_buried else None
        asked = _choose(settings, batches, label, buried)
        queued = retry(client, asked)
    if queued:
        click.echo("`gemini-batch-receiver batches watch` shows how it goes on", err=True)
    print_done(queued, asked, "queued", explain_unknown, as_json=as_json)


@command("bury", 'batches/abc --cause "wrong prompt"')
@click.argument(
    "batches", metavar="BATCH...", nargs=-1, required=True, shell_complete=complete_batch
)
@click.option("--cause", default="by hand", show_default=True, help="Why, for later readers.")
@project_option
@json_option("a JSON object")
def bury_batches(batches: tuple[str, ...], *, cause: str, label: str | None, as_json: bool) -> None:
    """Stop work on batches until somebody retries them.

    That holds for leased batches and those that wait for an outage to end, too. Exit code 1 when
    one has ended.
    """
    settings = load_settings()
    asked = find_batches(settings, batches, label)
    with connect(settings.redis_url) as client:
        inbox = Inbox(client, settings.notices.digests)
        buried = inbox.bury_by_hand(asked, cause)
        entries = inbox.entries(asked)
    if buried:
        click.echo("`gemini-batch-receiver inbox retry` opens them again", err=True)
    explain = partial(_explain_unburied, entries)
    print_done(buried, asked, "buried", explain, as_json=as_json)


def _explain_unburied(entries: Mapping[str, Entry], name: str) -> str:
    entry = entries.get(name)
    if entry is None:
        return explain_unknown(name)
    if entry.state == "buried":
        return f"{name} was buried by hand before: {printable(entry.cause)}"
    return f"{name} has ended: there is no work to stop"


@command("purge", "batches/abc --yes", "--buried --yes", "--done --yes --project acme")
@click.argument("batches", metavar="[BATCH]...", nargs=-1, shell_complete=complete_batch)
@click.option("--buried", is_flag=True, help="Every buried batch.")
@click.option("--done", is_flag=True, help="Every batch that is stored.")
@project_option
@yes_option
@json_option("a JSON object")
def purge_batches(  # noqa: PLR0913 - one parameter per option
    batches: tuple[str, ...],
    *,
    buried: bool,
    done: bool,
    label: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove batches from the inbox; what is stored stays.

    A replay can find a batch again. Exit code 1 when the inbox does not know one.
    """
    flags: dict[State, bool] = {"buried": buried, "done": done}
    states = [state for state, is_meant in flags.items() if is_meant]
    settings = load_settings()
    with connect(settings.redis_url) as client:
        queries, project = InboxQueries(client), project_of(label)
        flagged = [name for state in states for name in queries.names(state, project)]
        asked = _choose(settings, batches, label, flagged if states else None)
        if not yes:
            forgotten = count_of(len(asked), "batch", "batches")
            raise click.UsageError(
                f"this would make the inbox forget {forgotten}: add --yes to do it"
            )
        purged = Inbox(client).purge(asked)
    print_done(purged, asked, "purged", explain_unknown, as_json=as_json)


def _choose(
    settings: Settings, batches: Sequence[str], label: str | None, flagged: Sequence[str] | None
) -> list[str]:
    """What the arguments name, and what flags do, each once; `flagged` is None without a flag.

    Raises UsageError when that is nothing.
    """
    if not batches and flagged is None:
        raise click.UsageError("name batches, or say which ones by an option")
    return list(dict.fromkeys([*find_batches(settings, batches, label), *(flagged or ())]))
