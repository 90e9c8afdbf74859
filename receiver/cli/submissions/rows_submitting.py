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
from receiver.outputs.wording import count_of
from receiver.rows.attachments import Attachments
from receiver.rows.keeping import hash_file, keep_rows, keys_object, table_object
from receiver.rows.plan import RowsRecord, preview, write_requests
from receiver.rows.readers import TableFormat
from receiver.storage import Storage
from receiver.submissions.planning import SubmitRequest


@dataclass(frozen=True)
class TableRequests:
    """The requests of a table in a scratch file, and what is kept beside them."""

    requests: Path
    record: RowsRecord
    table: Path
    keys: Path
    attachments: Attachments

    def complete(self, request: SubmitRequest) -> SubmitRequest:
        """The request to submit, with what the table decides."""
        is_embedding = self.record.is_embedding or request.is_embedding
        return replace(
            request,
            is_embedding=is_embedding,
            table_sha256=self.record.sha256,
            attaches_files=bool(self.attachments.files),
        )

    def keep(self, storage: Storage, submission_id: str) -> None:
        """Store what the answers need to become rows. Raises StorageError and RowsError."""
        self.attachments.keep(storage)
        keep_rows(storage, submission_id, self.record, self.table, self.keys)


@contextmanager
def requests_of_table(
    table: Path, form: TableFormat, options: RowOptions
) -> Iterator[TableRequests]:
    """Ask every row; says how many rows share a request. Raises RowsError."""
    asking, columns = options.read(table, form)
    attachments = Attachments(table.parent)
    with TemporaryDirectory(prefix="gbr-") as folder:
        # It is called like the table, as whoever submitted that expects it to be.
        requests, keys = Path(folder) / table.name, Path(folder) / "keys of rows"
        sha256 = hash_file(table)
        with show_progress("asking", "rows", None) as bar:
            written = write_requests(
                table, form, asking, attachments.part, requests, keys, lambda _: bar.advance(1)
            )
        if written.copied:
            rows = count_of(written.rows, "row", "rows")
            saved = f"{written.copied / written.rows:.0%} fewer to pay"
            click.echo(f"note: {rows} ask {written.requests:,} requests: {saved}", err=True)
        record = RowsRecord(
            file=table.name,
            format=form,
            table=table_object(sha256, form),
            sha256=sha256,
            columns=columns,
            rows=written.rows,
            requests=written.requests,
            key=options.key,
            keys=keys_object(hash_file(keys)),
            keys_sha256=written.keys_sha256,
            schema=asking.schema,
            is_embedding=asking.embed is not None,
        )
        yield TableRequests(requests, record, table, keys, attachments)


def print_preview(table: Path, form: TableFormat, options: RowOptions) -> None:
    """Print the requests of the first rows as they would be sent. Raises RowsError."""
    asking, _ = options.read(table, form)
    for line in preview(table, form, asking, Attachments(table.parent).part, options.preview or 0):
        click.echo(msgspec.json.format(msgspec.json.encode(line), indent=2))
