"""`verify` and `proof-key`: check stored batches and their signatures."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.batch_lookup import complete_batch, find_batches
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.progress import show_progress
from receiver.errors import SettingsError, StorageError
from receiver.outputs.proof_keys import PublicKey
from receiver.outputs.wording import count_of
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from workers.verification.findings import VerifyOptions, VerifyReport
from workers.verification.verify_batch import verify_batch

# Of RFC 8032, for the help.
EXAMPLE_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def _parse_keys(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> tuple[PublicKey, ...]:
    try:
        return tuple(PublicKey.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


public_key_option = click.option(
    "--public-key",
    "public_keys",
    metavar="KEY",
    multiple=True,
    callback=_parse_keys,
    help="One of these public keys must have signed the manifest; see `proof-key`.",
)


@command("verify", "abc def", f"abc --public-key {EXAMPLE_KEY}")
@click.argument(
    "batches", metavar="BATCH...", nargs=-1, required=True, shell_complete=complete_batch
)
@public_key_option
@json_option("a JSON list of reports")
@click.pass_context
def verify(
    ctx: click.Context,
    batches: tuple[str, ...],
    *,
    public_keys: tuple[PublicKey, ...],
    as_json: bool,
) -> None:
    """Check stored batches again from the storage alone.

    Every line is judged, named and counted again, and hashes, counts and line numbers are compared
    with what is stored. Exit code 0 when all are proven, 1 when something is wrong. Each wrong
    thing is named, and so is what could not be checked.
    """
    settings = load_settings()
    names = [BatchName.read(name).gemini for name in find_batches(settings, batches)]
    storage = open_storage(settings.storage_url)
    reports = []
    for name in names:
        report = _verify(settings, storage, name, public_keys)
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        rows = [{"proven": not one.off} | msgspec.to_builtins(one) for one in reports]
        click.echo(msgspec.json.encode(rows))
    if any(report.off for report in reports):
        ctx.exit(1)


def _verify(
    settings: Settings, storage: Storage, name: str, public_keys: tuple[PublicKey, ...]
) -> VerifyReport:
    with (
        scratch_to_compare(settings) as folder,
        show_progress(f"proving {name}", "objects") as bar,
    ):

        def on_progress(objects: int, whole: int) -> None:
            bar.expect(whole)
            bar.advance(objects)

        schema = settings.response_schema
        options = VerifyOptions(settings.prices, public_keys, schema, on_progress)
        return verify_batch(storage, name, folder, options)


@contextmanager
def scratch_to_compare(settings: Settings) -> Iterator[Path]:
    """A folder for what is compared. Raises StorageError where its disk fails."""
    place = settings.scratch_dir or tempfile.gettempdir()
    try:
        with tempfile.TemporaryDirectory(prefix="gbr-", dir=place) as folder:
            yield Path(folder)
    except (OSError, sqlite3.OperationalError) as error:
        hint = "it needs as much space as the results of a batch: set SCRATCH_DIR to another folder"
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
        rest = f", {unnamed:,} of them not named" if unnamed else ""
        click.echo(f"{report.batch}: {count_of(report.off, 'thing is', 'things are')} off{rest}")
    else:
        lines = count_of(report.lines, "line", "lines")
        objects = count_of(report.objects, "object", "objects")
        sizes = f"{lines}, {objects}, {count_of(report.size_bytes, 'byte', 'bytes')}"
        signer = f", signed by {report.signed_by}" if report.signed_by else ""
        click.echo(f"{report.batch}: proven: {sizes}{signer}")
    for note in report.notes:
        click.echo(printable(f"{report.batch}: not checked: {note}"))


@command("proof-key")
def proof_key() -> None:
    """Print the public key that belongs to PROOF_KEY.

    It is for `verify --public-key`, and no secret. Whoever verifies must have it from you, not from
    the storage.
    """
    key = load_settings().proof_key
    if key is None:
        make = "make one with `openssl rand -base64 32`, and give it to the workers"
        raise SettingsError(f"PROOF_KEY is not set: {make}")
    click.echo(key.public_key)
