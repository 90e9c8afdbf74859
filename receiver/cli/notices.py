"""`notices list`, `show`, `retry` and `purge`: the outbox, read and changed by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice

import click
import msgspec

from receiver.cli.command import (
    command,
    json_option,
    limit_option,
    load_settings,
    yes_option,
)
from receiver.cli.output import (
    print_done,
    print_table,
    printable,
    shorten,
    show_age,
    show_moment,
)
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from receiver.notices.outbox import Notice, Outbox
from receiver.outputs.wording import count_of

GONE = "not in the settings"


def _is_dead(notice: Notice) -> bool:
    return notice.state == "dead"


def _encode(notice: Notice, hosts: Mapping[str, str]) -> dict[str, object]:
    return {**asdict(notice), "host": hosts.get(notice.target)}


@command("list", "", "--dead")
@click.option("--dead", is_flag=True, help="Only the dead ones.")
@limit_option
@json_option("a JSON list")
def list_notices(*, dead: bool, limit: int, as_json: bool) -> None:
    """List notices: waiting ones by next attempt, then dead ones."""
    settings = load_settings()
    with connect(settings.redis_url) as client:
        outbox, now_ms = Outbox(client), InboxQueries(client).now_ms()
        names = outbox.names(dead=dead)
        shown = outbox.read(dict(islice(names.items(), limit)))
    hosts = settings.notices.hosts
    if as_json:
        click.echo(msgspec.json.encode([_encode(notice, hosts) for notice in shown]))
        return
    print_table(
        ("notice", "state", "type", "next", "tries", "to", "about"),
        [_row(notice, settings.notices.labels, now_ms) for notice in shown],
        numbers=("next", "tries"),
    )
    click.echo(f"{len(shown)} of {count_of(len(names), 'notice', 'notices')}", err=True)


def _row(notice: Notice, labels: Mapping[str, str], now_ms: int) -> tuple[str, ...]:
    cause = shorten(notice.cause)
    return (
        notice.name,
        notice.state,
        notice.type,
        "-" if notice.due_ms is None else show_age(notice.due_ms - now_ms),
        str(notice.tries),
        labels.get(notice.target, GONE),
        f"{notice.batch}: {cause}" if cause else notice.batch,
    )


@command("show", "NOTICE")
@click.argument("notice")
@json_option("a JSON object")
def show_notice(notice: str, *, as_json: bool) -> None:
    """Show one notice with its contents.

    Exit code 1 when there is none of this name.
    """
    settings = load_settings()
    with connect(settings.redis_url) as client:
        outbox = Outbox(client)
        found = outbox.read(
            {name: due_ms for name, due_ms in outbox.names().items() if name == notice}
        )
    if not found:
        raise click.ClickException(_explain_unknown(notice))
    described = _encode(found[0], settings.notices.hosts)
    if as_json:
        click.echo(msgspec.json.encode(described))
        return

    for label, value in (described | {"host": described["host"] or GONE}).items():
        shown = show_moment(value) if label.endswith("_ms") and isinstance(value, int) else value
        text = "-" if shown in ("", None) else printable(str(shown))
        click.echo(f"{label.removesuffix('_ms'):<8} {text}")


def _choose(
    outbox: Outbox, names: Sequence[str], *flags: tuple[bool, Callable[[Notice], bool]]
) -> list[str]:
    """What the arguments and flags name, each once. Raises UsageError when they name nothing."""
    meant = [is_meant for is_set, is_meant in flags if is_set]
    if not names and not meant:
        raise click.UsageError("name notices, or say which ones by an option")
    listed = outbox.listing() if meant else []
    flagged = [notice.name for notice in listed if any(is_meant(notice) for is_meant in meant)]
    return list(dict.fromkeys([*names, *flagged]))


def _explain_unknown(name: str) -> str:
    return f"no notice is called {printable(name)}: `gemini-batch-receiver notices list` names them"


@command("retry", "--all-dead", "NOTICE")
@click.argument("names", metavar="[NOTICES]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="Every dead notice.")
@click.option("--all-waiting", is_flag=True, help="Every notice that waits for its next try.")
@json_option("a JSON object")
def retry_notices(
    names: tuple[str, ...], *, all_dead: bool, all_waiting: bool, as_json: bool
) -> None:
    """Send notices now, with the whole retry schedule ahead.

    Exit code 1 when there is none of a name.
    """
    settings = load_settings()
    with connect(settings.redis_url) as client:
        outbox = Outbox(client)
        asked = _choose(
            outbox,
            names,
            (all_dead, _is_dead),
            (all_waiting, lambda notice: notice.state == "waiting"),
        )
        queued = outbox.retry(asked)
    print_done(queued, asked, "queued", _explain_unknown, as_json=as_json)


@command("purge", "--all-dead --yes", "--stale --yes")
@click.argument("names", metavar="[NOTICES]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="Every dead notice.")
@click.option("--stale", is_flag=True, help="Every notice whose target left the settings.")
@yes_option
@json_option("a JSON object")
def purge_notices(
    names: tuple[str, ...], *, all_dead: bool, stale: bool, yes: bool, as_json: bool
) -> None:
    """Remove notices from the outbox.

    `notices replay` makes those of a stored batch again. Exit code 1 when there is none of a name.
    """
    settings = load_settings()
    with connect(settings.redis_url) as client:
        outbox = Outbox(client)
        known = settings.notices.hosts
        asked = _choose(
            outbox, names, (all_dead, _is_dead), (stale, lambda notice: notice.target not in known)
        )
        if not yes:
            forgotten = count_of(len(asked), "notice", "notices")
            raise click.UsageError(f"this would forget {forgotten}: add --yes to do it")
        purged = outbox.purge(asked)
    print_done(purged, asked, "purged", _explain_unknown, as_json=as_json)
