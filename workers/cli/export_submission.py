"""`submissions export`: the rows of a submission's input with their answers."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.progress import show_progress
from receiver.cli.submissions.lookup import complete_submission, find_submission
from receiver.outputs.wording import count_of
from receiver.rows.keeping import read_rows_record
from receiver.rows.readers import ENDINGS, TableFormat, table_format
from receiver.storage import open_storage
from receiver.submissions.records import SubmissionRecords
from workers.export.export import Exported, ExportJob
from workers.export.filters import OutcomeFilter


@command(
    "export",
    "5d41402abc4b2a76b971 answers.parquet",
    "reviews.csv left.csv --where outcome!=ok",
)
@click.argument("submission", shell_complete=complete_submission)
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--where",
    metavar="outcome=NAME",
    help="Write only rows with this outcome; several with commas, `outcome!=ok` for all others.",
)
@json_option("a JSON object with the numbers of rows")
def export(submission: str, target: Path, *, where: str | None, as_json: bool) -> None:
    """Write the rows of the input with their answers.

    The ending of TARGET decides: .parquet, .csv, .tsv or .jsonl. There are as many rows as in the
    input, in its order: one without an answer has none, and its error in `_error`. That is proven
    before the file has its name.
    """
    form = _read_form(target)
    chosen = OutcomeFilter.parse(where)
    settings = load_settings()
    storage = open_storage(settings.storage_url)
    found = find_submission(storage, submission)
    manifest = SubmissionRecords(storage, found.id).read_manifest()
    if manifest is None:
        raise click.ClickException(
            f"{found.spec.display_name} has not ended: `gemini-batch-receiver submissions watch"
            f" {found.id}` follows it"
        )
    proven = {one.name: one.sha256 for one in manifest.records}
    record = read_rows_record(storage, found.id, proven)
    rows = record.rows if record else manifest.requests
    with (
        TemporaryDirectory(prefix="gbr-", dir=settings.scratch_dir) as folder,
        show_progress("writing", "rows", rows) as bar,
    ):
        job = ExportJob(storage, settings.prices, manifest, record, Path(folder))
        exported = job.run(target, form, chosen, bar.advance)
    if as_json:
        click.echo(msgspec.json.encode({"file": str(target)} | asdict(exported)))
    else:
        _say(target, record.file if record else manifest.file, exported)


def _read_form(target: Path) -> TableFormat:
    form = table_format(target)
    if form is None:
        endings = ", ".join(sorted(ENDINGS))
        raise click.UsageError(f"{target}: the ending says the form; it is one of {endings}")
    return form


def _say(target: Path, source: str, exported: Exported) -> None:
    rows = count_of(exported.written, "row", "rows")
    is_whole = exported.written == exported.rows
    kept = f"as many as {source}" if is_whole else f"of {exported.rows:,}"
    click.echo(printable(f"{target}: {rows}, {kept}"))
    left = exported.rows - exported.answered
    rest = f", {left:,} without: see _error" if left else ""
    shared = count_of(exported.copied, "has", "have")
    copied = f"; {shared} that of an equal row" if exported.copied else ""
    click.echo(f"{exported.answered:,} have an answer{rest}{copied}", err=True)
