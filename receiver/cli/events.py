"""`events`: looks into the inbox, and moves by hand what got stuck."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import get_args

import click
import msgspec

from receiver.cli.command import command, load_settings
from receiver.cli.conclusions import conclude
from receiver.cli.entry_lines import entry_lines
from receiver.cli.moments import show_age, show_moment
from receiver.cli.printable import printable
from receiver.cli.projects import project_of, project_option, read_name
from receiver.inbox.delivery_log import Delivery, fetch_deliveries
from receiver.inbox.entries import Entry, State
from receiver.inbox.entry_fields import judge_summary
from receiver.inbox.ledger import Inbox
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import ENTRY, connect
from receiver.recovery.manual_actions import retry
from receiver.settings.settings import Settings

MAX_CAUSE = 80


def _row(entry: Entry, now_ms: int) -> str:
    age = show_age(now_ms - entry.accepted_ms)
    cause = printable(" ".join(entry.cause.split()))[:MAX_CAUSE]
    counts = f"{entry.attempts:>8}  {entry.waits:>5}"
    return f"{entry.batch:<44}  {entry.state:<6}  {age:>4}  {counts}  {entry.source:<9}  {cause}".rstrip()


@command("list")
@click.option("--state", type=click.Choice(get_args(State)), help="Only batches in this state.")
@click.option(
    "--deliveries",
    is_flag=True,
    help="The last deliveries with their verdicts, instead of the batches.",
)
@project_option
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="Show at most so many.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def list_events(
    *, state: State | None, deliveries: bool, label: str | None, limit: int, as_json: bool
) -> None:
    """List batches (open, leased, buried, done), or the last deliveries."""
    settings = load_settings()
    if deliveries:
        _list_deliveries(settings.redis_url, limit, project_of(label), as_json=as_json)
        return
    with connect(settings.redis_url) as client:
        found = InboxQueries(client).listing(state, limit, project_of(label))
    if as_json:
        click.echo(
            msgspec.json.encode([_described(entry, found.now_ms) for entry in found.entries])
        )
        return
    if found.entries:
        click.echo(
            f"{'batch':<44}  {'state':<6}  {'age':>4}  attempts  waits  {'source':<9}  cause"
        )
    for entry in found.entries:
        click.echo(_row(entry, found.now_ms))
    click.echo(f"{len(found.entries)} of {found.total} batches", err=True)


def _described(entry: Entry, now_ms: int) -> dict[str, object]:
    return _judged(entry) | {"age_s": max(0, now_ms - entry.accepted_ms) // 1000}


def _judged(entry: Entry) -> dict[str, object]:
    """An entry for programs, with what is said of a stored batch."""
    judgement = judge_summary(entry.summary, entry.batch) if entry.state == "done" else None
    return asdict(entry) | {"judgement": judgement and judgement.text}


def _list_deliveries(redis_url: str, limit: int, project: str | None, *, as_json: bool) -> None:
    with connect(redis_url) as client:
        found = fetch_deliveries(client, limit, project)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    if found:
        click.echo(
            f"{'time':<20}  {'verdict':<9}  {'scheme':<7}  {'webhook-id':<36}  batch or cause"
        )
    for one in found:
        what = f"{printable(one.delivery_id):<36}  {printable(_matter(one))}"
        click.echo(f"{show_moment(one.time_ms)}  {one.verdict:<9}  {one.scheme:<7}  {what}")
    click.echo(f"{len(found)} deliveries", err=True)


def _matter(one: Delivery) -> str:
    """What a delivery was about: a batch, which names its project, or why it was refused at which project's endpoint."""
    words = one.cause or one.event
    return one.batch or (f"{one.project}: {words}" if one.project else words)


@command("show")
@click.argument("batch")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def show_event(batch: str, *, as_json: bool) -> None:
    """Show all that the inbox knows of a batch; exit code 1 when that is nothing."""
    settings = load_settings()
    name = read_name(settings, batch)
    with connect(settings.redis_url) as client:
        entry = Inbox(client).entries([name]).get(name)
        is_spoilt = entry is None and client.exists(ENTRY + name)
    if is_spoilt:
        raise click.ClickException(
            f"the entry of {name} is not as the inbox writes it: `events purge {name} --yes`"
        )
    if entry is None:
        raise click.ClickException(f"the inbox does not know {name}: try `replay --batch {name}`")
    if as_json:
        click.echo(msgspec.json.encode(_judged(entry)))
        return
    for label, text in entry_lines(entry):
        click.echo(f"{label:<9} {printable(text)}")
    for step in entry.timeline:
        click.echo(
            f"{show_moment(step.time_ms)}  {step.what:<11} {printable(step.detail)}".rstrip()
        )


def _chosen(
    settings: Settings,
    backlog: InboxQueries,
    batches: Sequence[str],
    states: Sequence[State],
    label: str | None,
) -> list[str]:
    """What the arguments and flags name, each once. Raises UsageError when they name nothing."""
    if not batches and not states:
        raise click.UsageError("name batches, or say which ones by a flag")
    names = [read_name(settings, batch, label) for batch in batches]
    flagged = (name for state in states for name in backlog.names(state, project_of(label)))
    return list(dict.fromkeys([*names, *flagged]))


def _unknown(name: str) -> str:
    return f"the inbox does not know {name}: try `replay --batch {name}`"


@command("retry")
@click.argument("batches", nargs=-1)
@click.option("--all-buried", is_flag=True, help="Every buried batch.")
@project_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
def retry_events(
    batches: tuple[str, ...], *, all_buried: bool, label: str | None, as_json: bool
) -> None:
    """Work on these batches again, from the first attempt; exit code 1 when one is not known."""
    settings = load_settings()
    with connect(settings.redis_url) as client:
        asked = _chosen(
            settings, InboxQueries(client), batches, ["buried"] if all_buried else [], label
        )
        known = retry(client, asked)
    conclude(known, asked, "queued", _unknown, as_json=as_json)


@command("bury")
@click.argument("batches", nargs=-1, required=True)
@click.option(
    "--cause", default="by hand", show_default=True, help="Why, for whoever looks at it later."
)
@project_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
def bury_events(batches: tuple[str, ...], *, cause: str, label: str | None, as_json: bool) -> None:
    """Give these batches up until a retry, even leased ones or those of an outage; exit code 1 when one had ended."""
    settings = load_settings()
    asked = list(dict.fromkeys(read_name(settings, batch, label) for batch in batches))
    with connect(settings.redis_url) as client:
        buried = Inbox(client, settings.notices.digests).bury_by_hand(asked, cause)
    conclude(
        buried,
        asked,
        "buried",
        lambda name: f"{name} has ended, was buried by hand or is not known",
        as_json=as_json,
    )


@command("purge")
@click.argument("batches", nargs=-1)
@click.option("--buried", is_flag=True, help="Every buried batch.")
@click.option("--done", is_flag=True, help="Every batch that is stored.")
@project_option
@click.option("--yes", is_flag=True, help="Really do it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
def purge_events(  # noqa: PLR0913 - one parameter an option
    batches: tuple[str, ...],
    *,
    buried: bool,
    done: bool,
    label: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Forget these batches; exit code 1 when one is not known. Outputs stay, and a replay can find a batch again."""
    flags: dict[State, bool] = {"buried": buried, "done": done}
    states = [state for state, is_meant in flags.items() if is_meant]
    settings = load_settings()
    with connect(settings.redis_url) as client:
        asked = _chosen(settings, InboxQueries(client), batches, states, label)
        if not yes:
            raise click.UsageError(
                f"this would make the inbox forget {len(asked)} batch(es): add --yes to do it"
            )
        purged = Inbox(client).purge(asked)
    conclude(purged, asked, "purged", _unknown, as_json=as_json)
