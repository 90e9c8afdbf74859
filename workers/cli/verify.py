"""`verify`: proves stored batches again."""

import tempfile
from pathlib import Path

import click
import msgspec

from receiver.cli.group import cli, load_settings
from receiver.cli.progress import show_progress
from receiver.inbox.names import parse_inbox_name, split_inbox_name
from receiver.settings import Settings
from receiver.storage import Storage, open_storage
from workers.proof import Report, prove_batch


@cli.command()
@click.argument("batches", metavar="BATCH...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of reports instead of words.")
@click.pass_context
def verify(ctx: click.Context, batches: tuple[str, ...], *, as_json: bool) -> None:
    """Prove stored batches again from the storage alone: every hash, every count, every line number.

    Exit code 0 when all are proven, 1 when something is off; each thing that is off is named.
    """
    settings = load_settings()
    names = [split_inbox_name(parse_inbox_name(batch))[1] for batch in batches]
    storage = open_storage(settings.storage_url)
    reports = []
    for name in names:
        report = _prove(settings, storage, name)
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        click.echo(
            msgspec.json.encode([{"proven": not report.off} | msgspec.to_builtins(report) for report in reports])
        )
    if any(report.off for report in reports):
        ctx.exit(1)


def _prove(settings: Settings, storage: Storage, name: str) -> Report:
    with (
        tempfile.TemporaryDirectory(prefix="gbr-", dir=settings.scratch_dir) as folder,
        show_progress(f"proving {name}", "objects") as bar,
    ):

        def hear(objects: int, whole: int) -> None:
            bar.expect(whole)
            bar.advance(objects)

        return prove_batch(storage, name, Path(folder), hear)


def _print(report: Report) -> None:
    if report.replaced:
        click.echo(f"{report.batch}: its manifest replaced {', '.join(report.replaced)}")
    if not report.off:
        sizes = f"{report.lines:,} lines, {report.objects:,} objects, {report.size_bytes:,} bytes"
        click.echo(f"{report.batch}: proven: {sizes}")
        return
    for finding in report.findings:
        click.echo(str(finding))
    unnamed = report.off - len(report.findings)
    click.echo(
        f"{report.batch}: {report.off:,} things are off" + (f", {unnamed:,} of them not named" if unnamed else "")
    )
