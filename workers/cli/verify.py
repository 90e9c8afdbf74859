"""`verify`: checks stored batches."""

import sqlite3
import tempfile
from pathlib import Path

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.command import command, load_settings
from receiver.cli.printable import printable
from receiver.cli.progress import show_progress
from receiver.errors import StorageError
from receiver.outputs.proof_keys import PublicKey
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from workers.verification.findings import VerifyOptions, VerifyReport
from workers.verification.verify_batch import verify_batch


def _parse_keys(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> tuple[PublicKey, ...]:
    try:
        return tuple(PublicKey.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@command("verify")
@click.argument("batches", metavar="BATCH...", nargs=-1, required=True)
@click.option(
    "--public-key",
    "public_keys",
    metavar="KEY",
    multiple=True,
    callback=_parse_keys,
    help="One of these public keys must have signed the manifest; see `proof-key`.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON list of reports instead of words."
)
@click.pass_context
def verify(
    ctx: click.Context,
    batches: tuple[str, ...],
    *,
    public_keys: tuple[PublicKey, ...],
    as_json: bool,
) -> None:
    """Prove stored batches again from the storage alone: every hash, count and line number.

    The lines are judged, named and counted once more, and the result is compared with what is
    stored. Exit code 0 when all are proven, 1 when something is off; each thing that is off is
    named, and so is what could not be checked.
    """
    settings = load_settings()
    names = [BatchName.parse(batch).gemini for batch in batches]
    storage = open_storage(settings.storage_url)
    reports = []
    for name in names:
        report = _verify(settings, storage, name, public_keys)
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        click.echo(
            msgspec.json.encode(
                [{"proven": not report.off} | msgspec.to_builtins(report) for report in reports]
            )
        )
    if any(report.off for report in reports):
        ctx.exit(1)


def _verify(
    settings: Settings, storage: Storage, name: str, public_keys: tuple[PublicKey, ...]
) -> VerifyReport:
    place = settings.scratch_dir or tempfile.gettempdir()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="gbr-", dir=place) as folder,
            show_progress(f"proving {name}", "objects") as bar,
        ):

            def show(objects: int, whole: int) -> None:
                bar.expect(whole)
                bar.advance(objects)

            return verify_batch(
                storage,
                name,
                Path(folder),
                VerifyOptions(settings.prices, public_keys, settings.response_schema, show),
            )
    except (OSError, sqlite3.OperationalError) as error:
        hint = "it takes as much room as the results of a batch: name another folder in SCRATCH_DIR"
        raise StorageError(
            f"{place} did not hold what is compared: {error}; {hint}", retryable=False
        ) from error


def _print(report: VerifyReport) -> None:
    if report.replaced:
        click.echo(f"{report.batch}: its manifest replaced {', '.join(report.replaced)}")
    for finding in report.findings:
        click.echo(printable(str(finding)))
    if report.off:
        unnamed = report.off - len(report.findings)
        click.echo(
            f"{report.batch}: {report.off:,} things are off"
            + (f", {unnamed:,} of them not named" if unnamed else "")
        )
    else:
        sizes = f"{report.lines:,} lines, {report.objects:,} objects, {report.size_bytes:,} bytes"
        signer = f", signed by {report.signed_by}" if report.signed_by else ""
        click.echo(f"{report.batch}: proven: {sizes}{signer}")
    for note in report.notes:
        click.echo(printable(f"{report.batch}: not checked: {note}"))
