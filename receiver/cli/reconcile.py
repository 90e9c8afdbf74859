"""`reconcile`: one look at Gemini's list, now."""

import click
import msgspec

from receiver.cli.group import cli, load_settings
from receiver.gemini import Gemini
from receiver.inbox import connect
from receiver.reconcile import Reconciliation, Report
from receiver.settings import Settings
from receiver.storage import open_storage


@cli.command("reconcile")
@click.option("--if-due", is_flag=True, help="Do nothing when the last look is younger than RECONCILE_INTERVAL_S.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
@click.pass_context
def reconcile_command(ctx: click.Context, *, if_due: bool, as_json: bool) -> None:
    """Make the look that the web process and the workers make on their schedule.

    It queues what ended since the last complete look and is not stored, and leaves what was given up. Exit code 1 when
    Gemini, the storage or Redis failed, when a batch was not shown, or when another process is looking right now.
    """
    report = _look(load_settings(), if_due=if_due)
    if as_json:
        click.echo(msgspec.json.encode(report))
    elif report is None:
        click.echo("not due yet")
    else:
        _print(report)
    if report is not None and report.tally.unclear:
        ctx.exit(1)


def _look(settings: Settings, *, if_due: bool) -> Report | None:
    storage = open_storage(settings.storage_url)
    with (
        Gemini(settings.base_url, settings.api_key, settings.api_version) as gemini,
        connect(settings.redis_url) as client,
    ):
        look = Reconciliation(client, gemini, storage, settings.reconcile_interval_s)
        return look.run(even_early=not if_due)


def _print(report: Report) -> None:
    tally = report.tally
    for name in report.missed:
        click.echo(f"missed {name}", err=True)
    for name in report.expiring:
        click.echo(f"its results expire soon: {name}", err=True)
    for name in tally.unclear:
        click.echo(f"not shown by Gemini for this API key: {name}", err=True)
    counts = (
        (tally.owed, "already queued"),
        (tally.buried, "given up before"),
        (tally.young, "left for their callbacks"),
        (tally.unfinished, "not finished"),
        (len(tally.unclear), "not shown by Gemini"),
    )
    extra = "".join(f", {count} {words}" for count, words in counts if count)
    summary = (
        f"{tally.found} found, {tally.stored} already stored, {len(tally.queued)} queued, {len(report.missed)} missed"
    )
    click.echo(summary + extra)
