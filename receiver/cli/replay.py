"""`replay`: finds what was missed."""

import re
from datetime import UTC, datetime, timedelta

import click
import msgspec

from receiver.bell import Bell
from receiver.cli.group import cli, load_settings
from receiver.events import normalise_batch_name
from receiver.gemini import Gemini
from receiver.inbox import Arrival, Inbox, connect
from receiver.layout import manifest_name
from receiver.replay import Tally, replay
from receiver.settings import Settings
from receiver.storage import open_storage

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Since(click.ParamType[str]):
    """A moment: `36h`, `7d`, or an RFC 3339 date and time."""

    name = "moment"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if match := re.fullmatch(r"(\d{1,5})([mhd])", value):
            moment = datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
        else:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                self.fail(f"{value!r} is no moment: expected 36h, 7d or 2026-11-22T18:00:00Z", param, ctx)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


@cli.command("replay")
@click.option("--since", type=Since(), help="Only batches that ended at or after this moment: 36h, 7d or RFC 3339.")
@click.option("--batch", "names", multiple=True, help="Only this batch; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Say what would be queued and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
def replay_command(*, since: str | None, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Ask Gemini for its batches and queue the finished ones that are not stored."""
    tally = _replay(load_settings(), since, [normalise_batch_name(name) for name in names], dry_run=dry_run)
    if as_json:
        click.echo(msgspec.json.encode(tally))
        return
    for name in tally.queued:
        click.echo(f"{'would queue' if dry_run else 'queued'} {name}", err=True)
    extra = [f", {tally.owed} already queued"] if tally.owed else []
    extra += [f", {tally.unfinished} not finished"] if tally.unfinished else []
    verb = "to queue" if dry_run else "queued"
    click.echo(f"{tally.found} found, {tally.stored} already stored, {len(tally.queued)} {verb}{''.join(extra)}")


def _replay(settings: Settings, since: str | None, names: list[str], *, dry_run: bool) -> Tally:
    storage = open_storage(settings.storage_url)
    with (
        Gemini(settings.base_url, settings.api_key, settings.api_version) as gemini,
        connect(settings.redis_url) as client,
    ):
        inbox, bell = Inbox(client), Bell(client)

        def is_stored(name: str) -> bool:
            return storage.exists(manifest_name(name.removeprefix("batches/")))

        def accept(arrival: Arrival) -> bool:
            if dry_run:
                entry = inbox.entries([arrival.batch]).get(arrival.batch)
                return entry is None or entry.state not in ("open", "leased")
            return inbox.accept([arrival])[0]

        listed = (gemini.get_batch(name) for name in names) if names else gemini.list_batches()
        tally = replay(listed, gemini.get_batch, is_stored, accept, since=since)
        if tally.queued and not dry_run:
            bell.ring(tally.queued)
        return tally
