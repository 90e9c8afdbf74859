"""`notices`: looks into the outbox, and moves by hand what got stuck."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice

import click
import msgspec

from receiver.cli.command import command, load_settings
from receiver.cli.conclusions import conclude
from receiver.cli.moments import show_age, show_moment
from receiver.cli.printable import printable
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from receiver.notices.outbox import Notice, Outbox

MAX_CAUSE = 80
GONE = "not in the settings"


def _is_dead(notice: Notice) -> bool:
    return notice.state == "dead"


def _described(notice: Notice, hosts: Mapping[str, str]) -> dict[str, object]:
    return {**asdict(notice), "host": hosts.get(notice.target)}


@command("list")
@click.option("--dead", is_flag=True, help="Only the dead ones.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="Show at most so many.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def list_notices(*, dead: bool, limit: int, as_json: bool) -> None:
    """List the notices that wait, by the time of their next try, then the dead ones."""
    settings = load_settings()
    with connect(settings.redis_url) as client:
        outbox, now_ms = Outbox(client), InboxQueries(client).now_ms()
        names = outbox.names(dead=dead)
        shown = outbox.read(dict(islice(names.items(), limit)))
    hosts = settings.notices.hosts
    if as_json:
        click.echo(msgspec.json.encode([_described(notice, hosts) for notice in shown]))
        return
    if shown:
        click.echo(
            f"{'notice':<57}  {'state':<7}  {'type':<14}  {'next':>4}  tries  {'to':<24}  about"
        )
    for notice in shown:
        click.echo(_row(notice, hosts, now_ms))
    click.echo(f"{len(shown)} of {len(names)} notices", err=True)


def _row(notice: Notice, hosts: Mapping[str, str], now_ms: int) -> str:
    soon = "-" if notice.due_ms is None else show_age(notice.due_ms - now_ms)
    cause = " ".join(notice.cause.split())[:MAX_CAUSE]
    about = f"{notice.batch}: {cause}" if cause else notice.batch
    to = hosts.get(notice.target, GONE)
    what = f"{notice.name:<57}  {notice.state:<7}  {notice.type:<14}  {soon:>4}  {notice.tries:>5}  {to:<24}  {about}"
    return printable(what)


@command("show")
@click.argument("notice")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def show_notice(notice: str, *, as_json: bool) -> None:
    """Show all of one notice, with what it says; exit code 1 when there is none of this name."""
    settings = load_settings()
    with connect(settings.redis_url) as client:
        outbox = Outbox(client)
        found = outbox.read(
            {name: due_ms for name, due_ms in outbox.names().items() if name == notice}
        )
    if not found:
        raise click.ClickException(f"no notice is called {notice}: `notices list` names them")
    described = _described(found[0], settings.notices.hosts)
    if as_json:
        click.echo(msgspec.json.encode(described))
        return
    for label, value in (described | {"host": described["host"] or GONE}).items():
        shown = show_moment(value) if label.endswith("_ms") and isinstance(value, int) else value
        click.echo(
            f"{label.removesuffix('_ms'):<7} {printable(str(shown)) if shown not in ('', None) else '-'}"
        )


def _chosen(
    outbox: Outbox, names: Sequence[str], *flags: tuple[bool, Callable[[Notice], bool]]
) -> list[str]:
    """What the arguments and flags name, each once. Raises UsageError when they name nothing."""
    meant = [is_meant for is_set, is_meant in flags if is_set]
    if not names and not meant:
        raise click.UsageError("name notices, or say which ones by a flag")
    listed = outbox.listing() if meant else []
    flagged = [notice.name for notice in listed if any(is_meant(notice) for is_meant in meant)]
    return list(dict.fromkeys([*names, *flagged]))


def _unknown(name: str) -> str:
    return f"no notice is called {printable(name)}: `notices list` names them"


@command("retry")
@click.argument("names", metavar="[NOTICES]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="Every dead notice.")
@click.option("--all-waiting", is_flag=True, help="Every notice that waits for its next try.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
def retry_notices(
    names: tuple[str, ...], *, all_dead: bool, all_waiting: bool, as_json: bool
) -> None:
    """Send these notices again, now, with the whole schedule before them; exit code 1 when one is not there."""
    settings = load_settings()
    with connect(settings.redis_url) as client:
        outbox = Outbox(client)
        asked = _chosen(
            outbox,
            names,
            (all_dead, _is_dead),
            (all_waiting, lambda notice: notice.state == "waiting"),
        )
        queued = outbox.retry(asked)
    conclude(queued, asked, "queued", _unknown, as_json=as_json)


@command("purge")
@click.argument("names", metavar="[NOTICES]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="Every dead notice.")
@click.option(
    "--stale", is_flag=True, help="Every notice to somebody who is no longer in the settings."
)
@click.option("--yes", is_flag=True, help="Really do it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
def purge_notices(
    names: tuple[str, ...], *, all_dead: bool, stale: bool, yes: bool, as_json: bool
) -> None:
    """Forget these notices; exit code 1 when one is not there. `notices replay` makes those of a stored batch again."""
    settings = load_settings()
    with connect(settings.redis_url) as client:
        outbox = Outbox(client)
        known = settings.notices.hosts
        asked = _chosen(
            outbox, names, (all_dead, _is_dead), (stale, lambda notice: notice.target not in known)
        )
        if not yes:
            raise click.UsageError(f"this would forget {len(asked)} notice(s): add --yes to do it")
        purged = outbox.purge(asked)
    conclude(purged, asked, "purged", _unknown, as_json=as_json)
