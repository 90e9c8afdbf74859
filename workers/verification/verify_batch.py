"""Verifies a stored batch from the storage alone.

A million rows may name a million objects, or one of many gigabytes: the rows are sorted in a table
on disk, and objects are read in pieces, small ones several at a time.
"""

import gzip
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from receiver.answers.index_rows import read_row
from receiver.errors import ManifestError
from receiver.outputs.manifest import Manifest, Record, read_manifest, read_naming, stored_capitals
from receiver.outputs.paths import index_name, manifest_name, retry_name
from receiver.storage import Storage
from receiver.storage.replaced import find_replaced
from workers.store.records import file_sha256, read_rows
from workers.store.scratch_table import open_table
from workers.verification.findings import Discrepancy, VerifyOptions, VerifyReport
from workers.verification.form_checks import check_forms
from workers.verification.object_checks import ObjectChecks
from workers.verification.rebuild import Rebuild
from workers.verification.record_checks import (
    SignedManifest,
    check_records,
    check_signature,
    fetch_input,
    own_signature,
)
from workers.verification.rules import IndexChecks, check_totals
from workers.verification.source_file import SourceFile
from workers.verification.strays import Folders, Strays


def verify_batch(
    storage: Storage, batch: str, scratch: Path, options: VerifyOptions | None = None
) -> VerifyReport:
    """Read everything of a batch once more. Raises StorageError when the storage can't be read."""
    report = VerifyReport(batch)
    name = manifest_name(batch)
    data = storage.read(name)
    if data is None:
        report.find(name, "it is not there: the batch is not stored")
        return report
    try:
        manifest = read_manifest(data)
    except ManifestError as error:
        report.find(name, str(error))
        return report
    if manifest.batch != batch:
        report.find(name, f"it is the manifest of {manifest.batch}")
        return report
    report.replaced = find_replaced(storage, batch, data)
    with closing(open_table(scratch / "rows")) as table:
        _prepare(table)
        _Verification(storage, manifest, report, scratch, table, options or VerifyOptions()).run(
            data
        )
    return report


def _check_empty(manifest: Manifest, name: str) -> Iterator[Discrepancy]:
    """A batch without results has only counts."""
    if manifest.source.kind != "none" or any(manifest.outcomes.values()) or manifest.objects.count:
        yield Discrepancy(name, None, "it counts results, but names no index")


class _Verification:
    """One pass over everything that one batch has in the storage."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        storage: Storage,
        manifest: Manifest,
        report: VerifyReport,
        scratch: Path,
        table: sqlite3.Connection,
        options: VerifyOptions,
    ) -> None:
        self._storage, self._manifest = storage, manifest
        self._report, self._scratch = report, scratch
        self._table, self._options = table, options
        batch_id = manifest.batch
        self._name, self._index_name = manifest_name(batch_id), index_name(batch_id)
        self._naming = read_naming(manifest)
        self._folders = Folders(
            batch_id, None if self._naming.unknown else self._naming.bind(manifest)
        )
        self._checks = IndexChecks(batch_id, self._index_name)
        self._knows_names = True  # until a record of names is wrong

    def run(self, data: bytes) -> None:
        """`data` is the manifest as it is stored."""
        storage, manifest, report = self._storage, self._manifest, self._report
        report.add(self._check_naming())
        self._note_ignored_case()
        report.add(check_forms(storage, manifest, self._scratch, self._table))
        self._knows_names = not report.off
        report.add(check_records(storage, manifest))
        if manifest.index is None:
            report.add(_check_empty(manifest, self._name))
            self._knows_names = not report.off
            if not report.off:
                self._rebuild(None)
        else:
            with SourceFile(storage, manifest, self._scratch) as source:
                self._check_lines(manifest.index, source)
                if source.is_whole and not report.off:
                    self._rebuild(source)
        if manifest.balanced is False and not self._options.judges_books:
            report.note("its own books: it says itself that they do not balance")
        else:
            report.add(check_totals(manifest, self._name))
        signature = own_signature(manifest.batch, data)
        if self._knows_names:
            Strays(self._table, self._folders, report).find(
                storage, manifest, signature, self._scratch
            )
        else:
            report.note("objects that no record names: the records that name them are off")
        signed = SignedManifest(self._name, data, signature)
        check_signature(storage, signed, self._options.public_keys, report)

    def _note_ignored_case(self) -> None:
        """A folder may have been copied to where two of its names are one."""
        if stored_capitals(self._manifest) == "kept" and self._storage.exists(
            self._name.swapcase()
        ):
            self._report.note(
                "names that differ by case only: this storage takes them for one, and holds only"
                " the result that was copied last; copy the batch again, to a storage that tells"
                " case apart"
            )

    def _check_naming(self) -> Iterator[Discrepancy]:
        if self._naming.off is not None:
            yield Discrepancy(self._name, None, self._naming.off)
        if self._naming.unknown is not None:
            self._report.note(f"the names of the outputs: {self._naming.unknown}")

    def _rebuild(self, source: SourceFile | None) -> None:
        """Call it where all else is well: from wrong lines, everything would be wrong."""
        known = fetch_input(self._storage, self._manifest, self._scratch)
        if isinstance(known, Discrepancy):
            self._report.add([known])
            return
        rows = iter(()) if source is None else read_rows(self._scratch / "index")
        Rebuild(
            self._manifest, self._naming, known, self._options, self._scratch, self._report
        ).run(source, rows)

    def _check_lines(self, record: Record, source: SourceFile) -> None:
        index, report = self._scratch / "index", self._report
        if not self._storage.read_to_file(self._index_name, index):
            report.find(self._index_name, "it is not there")
            self._knows_names = False
            return
        if (found := file_sha256(index)) != record.sha256:
            message = f"its sha256 is {found}, the manifest says {record.sha256}"
            report.find(self._index_name, message)
            self._knows_names = False
        self._table.executemany(
            "INSERT INTO pieces VALUES (?, ?, ?, ?, ?, ?)", self._read_rows(index, source)
        )
        objects = self._read_objects(source)
        report.lines, report.objects = self._checks.rows, objects
        report.size_bytes = self._checks.size_bytes
        report.add(self._checks.check_sums(self._manifest, self._name, objects))
        if (words := source.finish()) is not None and not report.off:
            report.find(self._name, words)
        retries = retry_name(self._manifest.batch)
        if self._manifest.retry is None and not self._storage.exists(retries):
            report.find(retries, "it is not there")

    def _read_rows(
        self, path: Path, source: SourceFile
    ) -> Iterator[tuple[str, int, int, int, str, int]]:
        """The rows that can be read, for the table; what is off with them goes into the report."""
        try:
            with gzip.open(path, "rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        row = read_row(line)
                        row.object.encode()  # a name that is no text can't be looked up
                    except (ValueError, RecursionError) as error:
                        words = f"row {number} can't be read: {error}"
                        self._report.find(self._index_name, words)
                        continue
                    self._report.add(self._checks.add(row))
                    self._folders.add(row.object)
                    at, finding = source.place(row)
                    if finding is not None:
                        self._report.add([finding])
                    yield row.object, row.line, row.offset, row.length, row.sha256, at
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            self._report.find(self._index_name, f"it is no whole gzip file: {error}")

    def _read_objects(self, source: SourceFile) -> int:
        """Read every object that a row names. Returns the number of outputs."""
        rows = self._table.execute("SELECT * FROM pieces ORDER BY object, offset, line")
        whole = self._manifest.objects.count + 1  # with that of the errors
        checks = ObjectChecks(
            self._storage,
            self._checks.errors_name,
            source.write,
            self._report,
            lambda objects: self._options.on_progress(objects, whole),
        )
        return checks.run(rows)


def _prepare(table: sqlite3.Connection) -> None:
    fields = "object TEXT, line INTEGER, offset INTEGER, length INTEGER, sha256 TEXT, at INTEGER"
    table.execute(f"CREATE TABLE pieces ({fields})")
    table.execute("CREATE TABLE forms (object TEXT)")
    table.execute("BEGIN")
