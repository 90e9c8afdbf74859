"""`replay`: finds what was missed."""

from collections.abc import Iterator, Sequence

import click
import msgspec
import redis

from receiver.backlog import Backlog
from receiver.bell import Bell
from receiver.cli.group import cli, load_settings
from receiver.cli.moments import Moment
from receiver.events import normalise_batch_name
from receiver.gemini import Batch, Gemini
from receiver.inbox import Arrival, Inbox, connect
from receiver.replay import Tally, Verdict, Window, ask_each, find_stored, replay
from receiver.settings import Settings
from receiver.storage import open_storage


@cli.command("replay")
@click.option("--since", type=Moment(), help="Only batches that ended at or after this moment: 36h, 7d or RFC 3339.")
@click.option("--until", type=Moment(), help="Only batches that ended before this moment.")
@click.option("--failed", is_flag=True, help="Only batches that were given up (buried).")
@click.option("--batch", "names", multiple=True, help="Only this batch; may be given several times.")
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
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask Gemini for its batches and queue the finished ones that are not stored.

    Exit code 1 when Gemini, the storage or Redis failed, or when Gemini did not show one of the batches.
    """
    if failed and names:
        raise click.UsageError("--failed and --batch exclude each other")
    wanted = [normalise_batch_name(name) for name in names]
    tally = _replay(load_settings(), Window(since, until), wanted, failed=failed, dry_run=dry_run)
    if as_json:
        click.echo(msgspec.json.encode(tally))
    else:
        _print(tally, dry_run=dry_run)
    if tally.unclear:
        ctx.exit(1)


def _print(tally: Tally, *, dry_run: bool) -> None:
    for name in tally.queued:
        click.echo(f"{'would queue' if dry_run else 'queued'} {name}", err=True)
    for name in tally.unclear:
        click.echo(f"not shown by Gemini for this API key: {name}", err=True)
    counts = (
        (tally.owed, "already queued"),
        (tally.unfinished, "not finished"),
        (len(tally.unclear), "not shown by Gemini"),
    )
    extra = "".join(f", {count} {words}" for count, words in counts if count)
    verb = "to queue" if dry_run else "queued"
    click.echo(f"{tally.found} found, {tally.stored} already stored, {len(tally.queued)} {verb}{extra}")


class _Door:
    """Puts batches into the inbox, or in a dry run only says what would happen."""

    def __init__(self, client: "redis.Redis", *, dry_run: bool) -> None:
        self._inbox, self._bell = Inbox(client), Bell(client)
        self._dry_run = dry_run

    def admit(self, batches: Sequence[Batch]) -> list[Verdict]:
        if self._dry_run:
            known = self._inbox.entries(batch.name for batch in batches)
            owed = {name for name, entry in known.items() if entry.state in ("open", "leased")}
            return ["owed" if batch.name in owed else "queued" for batch in batches]
        arrivals = [Arrival(one.name, f"batch.{one.state.lower()}", "replay", reopen="all") for one in batches]
        opened = self._inbox.accept(arrivals)
        self._bell.ring(batch.name for batch, is_opened in zip(batches, opened, strict=True) if is_opened)
        return ["queued" if is_opened else "owed" for is_opened in opened]


def _replay(settings: Settings, window: Window, names: list[str], *, failed: bool, dry_run: bool) -> Tally:
    storage = open_storage(settings.storage_url)
    with (
        Gemini(settings.base_url, settings.api_key, settings.api_version) as gemini,
        connect(settings.redis_url) as client,
    ):
        unclear = list[str]()

        def listed() -> Iterator[Batch]:
            if failed:
                return ask_each(Backlog(client).names("buried"), gemini.get_batch, unclear)
            return (gemini.get_batch(name) for name in names) if names else gemini.list_batches()

        def stored_among(asked: Sequence[str]) -> set[str]:
            return find_stored(storage, asked)

        door = _Door(client, dry_run=dry_run)
        tally = replay(listed(), gemini.get_batch, stored_among, door.admit, window)
        tally.unclear += unclear
        return tally
