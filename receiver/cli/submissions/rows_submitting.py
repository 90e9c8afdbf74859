"""What `batches submit` does with a table before its requests are those of any submission."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec

from receiver.cli.progress import show_progress
from receiver.cli.submissions.row_options import RowOptions
from receiver.errors import RowsError
from receiver.outputs.wording import count_of
from receiver.rows.attachments import Attachments
from receiver.rows.keeping import hash_file, keep_rows, keys_record, reused_record, table_record
from receiver.rows.plan import (
    RowFiles,
    RowsRecord,
    WrittenRows,
    find_nothing,
    preview,
    write_requests,
)
from receiver.rows.readers import TableFormat
from receiver.rows.reuse import StoredAnswers
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.submissions.planning import SubmitRequest


@dataclass(frozen=True)
class TableRequests:
    """The requests of a table in a scratch file, and what is kept beside them."""

    files: RowFiles
    record: RowsRecord
    table: Path
    attachments: Attachments

    def complete(self, request: SubmitRequest) -> SubmitRequest:
        """The request to submit, with what the table decides."""
        is_embedding = self.record.is_embedding or request.is_embedding
        return replace(
            request,
            is_embedding=is_embedding,
            table_sha256=self.record.table.sha256,
            attaches_files=bool(self.attachments.files),
        )

    def keep(self, storage: Storage, submission_id: str) -> None:
        """Store what the answers need to become rows. Raises StorageError and RowsError."""
        self.attachments.keep(storage)
        keep_rows(storage, submission_id, self.record, self.table, self.files)


@contextmanager
def stored_answers(settings: Settings, model: str, project: str) -> Iterator[StoredAnswers]:
    """The answers of all finished submissions to a model. Raises StorageError."""
    storage = open_storage(settings.storage_url)
    with (
        TemporaryDirectory(prefix="gbr-") as folder,
        StoredAnswers(Path(folder) / "stored") as stored,
    ):
        with show_progress("reading stored answers", "requests", None) as bar:
            stored.load(storage, model, project, bar.advance)
        yield stored


@contextmanager
def requests_of_table(
    table: Path, form: TableFormat, options: RowOptions, stored: StoredAnswers | None
) -> Iterator[TableRequests]:
    """Ask every row; says how many rows share a request, or have an answer in `stored` already.

    Raises RowsError.
    """
    asking, columns = options.read(table, form)
    attachments = Attachments(table.parent)
    with TemporaryDirectory(prefix="gbr-") as folder:
        # It is called like the table, as whoever submitted that expects it to be.
        files = RowFiles.below(Path(folder), table.name)
        find_stored = find_nothing if stored is None else stored.find
        sha256 = hash_file(table)
        with show_progress("asking", "rows", None) as bar:
            try:
                written = write_requests(
                    table,
                    form,
                    asking,
                    attachments.part,
                    files,
                    find_stored,
                    lambda _: bar.advance(1),
                )
            except OSError as error:
                raise RowsError(f"{folder} did not hold the requests: {error}") from error
        _say_saving(written)
        record = RowsRecord(
            file=table.name,
            format=form,
            table=table_record(sha256, form),
            columns=columns,
            rows=written.rows,
            requests=written.requests,
            key=options.key,
            keys=keys_record(hash_file(files.keys)),
            keys_sha256=written.keys_sha256,
            schema=asking.schema,
            is_embedding=asking.embed is not None,
            reused=reused_record(hash_file(files.reused)) if written.reused else None,
            copied_from=written.copied_from,
        )
        yield TableRequests(files, record, table, attachments)


def _say_saving(written: WrittenRows) -> None:
    """Raises RowsError where nothing is left to ask."""
    if not written.requests:
        raise RowsError(
            "nothing is left to ask: stored submissions have an answer for every row;"
            " `submissions export` of those writes them, or leave --reuse out"
        )
    if written.reused:
        found = count_of(written.reused, "answer is", "answers are")
        click.echo(f"note: {found} taken from stored submissions", err=True)
    saved = written.rows - written.requests
    if saved:
        rows = count_of(written.rows, "row", "rows")
        asked = count_of(written.requests, "request", "requests")
        share = f"{saved / written.rows:.0%} fewer to pay"
        click.echo(f"note: {rows} ask {asked}: {share}", err=True)


def print_preview(table: Path, form: TableFormat, options: RowOptions) -> None:
    """Print the requests of the first rows as they would be sent. Raises RowsError."""
    asking, _ = options.read(table, form)
    for line in preview(table, form, asking, Attachments(table.parent).part, options.preview or 0):
        click.echo(msgspec.json.format(msgspec.json.encode(line), indent=2))
