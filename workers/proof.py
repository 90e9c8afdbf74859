"""Proves a stored batch again, from the storage alone.

A million rows may name a million objects, or one of many gigabytes: the rows go through a sorted table on disk, and
objects are read in pieces, small ones several at a time.
"""

import gzip
import sqlite3
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

from receiver.errors import ManifestError
from receiver.layout import index_name, manifest_name, retry_name
from receiver.manifests import Manifest, read_manifest
from receiver.replaced import find_replaced
from receiver.storage import Storage
from workers.account import key_token
from workers.form_checks import check_forms
from workers.record_checks import check_digest, check_records, judge_missing, open_output
from workers.verify import Finding, IndexJudge, Piece, judge_books, judge_object, read_row

MOST_FINDINGS = 100
READING_THREADS = 16
OBJECTS_TOGETHER = 32  # that one thread reads, one after the other
WAITING_TASKS = 64
ROWS_TOGETHER = 1000  # an object of more is read while its rows come from the table
CACHE_KIB = 16 * 1024

Work = list[tuple[str, list[Piece]]]


@dataclass
class Report:
    """What was found of one batch."""

    batch: str  # "batches/<id>"
    lines: int = 0  # rows of the index
    objects: int = 0
    size_bytes: int = 0  # of the outputs
    replaced: list[str] = field(default_factory=list)  # older manifests that this one took the place of
    off: int = 0  # how many things are off
    findings: list[Finding] = field(default_factory=list)  # the first MOST_FINDINGS of them

    def add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.off += 1
            if self.off <= MOST_FINDINGS:
                self.findings.append(finding)


def prove_batch(
    storage: Storage, batch: str, scratch: Path, read: Callable[[int, int], None] = lambda _objects, _whole: None
) -> Report:
    """Read everything of a batch once more. Raises StorageError when the storage can't be read.

    `read` hears how many more objects were read, and of how many.
    """
    report, batch_id = Report(batch), batch.removeprefix("batches/")
    name = manifest_name(batch_id)
    data = storage.read(name)
    if data is None:
        report.add([Finding(name, None, "it is not there: the batch is not stored")])
        return report
    try:
        manifest = read_manifest(data)
    except ManifestError as error:
        report.add([Finding(name, None, str(error))])
        return report
    if manifest.batch != batch:
        report.add([Finding(name, None, f"it is the manifest of {manifest.batch}")])
    report.replaced = find_replaced(storage, batch_id, data)
    report.add(check_records(storage, manifest))
    report.add(check_forms(storage, manifest, scratch))
    came = None if manifest.input is None else set[str | bytes]()
    if manifest.index is None:
        report.add(_judge_empty(manifest, name))
    else:
        whole = manifest.objects.count + 1  # with that of the errors
        _Proof(storage, batch_id, report, scratch, came, lambda objects: read(objects, whole)).run(manifest)
    if came is not None:
        report.add(judge_missing(storage, manifest, scratch, came))
    return report


def _judge_empty(manifest: Manifest, name: str) -> Iterator[Finding]:
    """A batch without results has nothing but its books."""
    if manifest.source.kind != "none" or any(manifest.outcomes.values()) or manifest.objects.count:
        yield Finding(name, None, "it counts results, but names no index")
    yield from judge_books(manifest, name)


class _Proof:
    """One pass over the index and the objects of one batch."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        storage: Storage,
        batch_id: str,
        report: Report,
        scratch: Path,
        came: set[str | bytes] | None,
        read: Callable[[int], None],
    ) -> None:
        """`came` gathers the tokens of all keys; None where nobody asks for them. `read` hears of objects."""
        self._read = read
        self._storage, self._batch_id, self._report, self._scratch = storage, batch_id, report, scratch
        self._came = came
        self._index_name = index_name(batch_id)
        self._judge = IndexJudge(batch_id, self._index_name)

    def run(self, manifest: Manifest) -> None:
        assert manifest.index is not None  # noqa: S101 - for the type checker: only such manifests come here
        index, report = self._scratch / "index", self._report
        if not self._storage.read_to_file(self._index_name, index):
            report.add([Finding(self._index_name, None, "it is not there")])
            return
        report.add(check_digest(self._storage, manifest.index.name, manifest.index.sha256))
        with closing(sqlite3.connect(self._scratch / "rows", isolation_level=None)) as table:
            _prepare(table)
            table.executemany("INSERT INTO pieces VALUES (?, ?, ?, ?, ?)", self._read_rows(index))
            objects = self._read_objects(table)
        report.lines, report.objects, report.size_bytes = self._judge.rows, objects, self._judge.size_bytes
        report.add(self._judge.judge(manifest, manifest_name(self._batch_id), objects))
        if manifest.retry is None and not self._storage.exists(retry_name(self._batch_id)):
            report.add([Finding(retry_name(self._batch_id), None, "it is not there")])

    def _read_rows(self, path: Path) -> Iterator[tuple[str, int, int, int, str]]:
        """The rows that can be read, for the table; what is off with them goes into the report."""
        try:
            with gzip.open(path, "rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        row = read_row(line)
                        row.object.encode()  # a name that is no text can't be looked up
                    except (ValueError, RecursionError) as error:
                        self._report.add([Finding(self._index_name, None, f"row {number} can't be read: {error}")])
                        continue
                    self._report.add(self._judge.add(row))
                    if self._came is not None and row.key is not None:
                        self._came.add(key_token(row.key))
                    yield row.object, row.line, row.offset, row.length, row.sha256
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            self._report.add([Finding(self._index_name, None, f"it is no whole gzip file: {error}")])

    def _read_objects(self, table: sqlite3.Connection) -> int:
        """Read every object that a row names. Gives the number of outputs."""
        rows = table.execute("SELECT * FROM pieces ORDER BY object, offset, line")
        count, errors_name, has_errors = 0, self._judge.errors_name, False
        with ThreadPoolExecutor(READING_THREADS) as pool:
            tasks = _Tasks(pool, self._storage, self._report, self._read)
            for name, group in groupby(rows, itemgetter(0)):
                pieces = (Piece(*row[1:]) for row in group)
                first = list(islice(pieces, ROWS_TOGETHER))
                if len(first) < ROWS_TOGETHER:
                    tasks.add(name, first)
                else:
                    self._report.add(_examine(self._storage, name, chain(first, pieces)))
                    self._read(1)
                count += name != errors_name
                has_errors = has_errors or name == errors_name
            if not has_errors:
                tasks.add(errors_name, [])
            tasks.finish()
        return count


def _prepare(table: sqlite3.Connection) -> None:
    for setting in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{CACHE_KIB}"):
        table.execute(f"PRAGMA {setting}").close()
    table.execute("CREATE TABLE pieces (object TEXT, line INTEGER, offset INTEGER, length INTEGER, sha256 TEXT)")
    table.execute("BEGIN")


class _Tasks:
    """Objects on their way through the threads; their findings keep the order of the names."""

    def __init__(self, pool: ThreadPoolExecutor, storage: Storage, report: Report, read: Callable[[int], None]) -> None:
        self._pool, self._storage, self._report, self._read = pool, storage, report, read
        self._gathered: Work = []
        self._running: deque[tuple[int, Future[list[Finding]]]] = deque()

    def add(self, name: str, pieces: list[Piece]) -> None:
        self._gathered.append((name, pieces))
        if len(self._gathered) >= OBJECTS_TOGETHER or len(pieces) > OBJECTS_TOGETHER:
            self._submit()

    def _submit(self) -> None:
        if len(self._running) >= WAITING_TASKS:
            self._collect()
        self._running.append((len(self._gathered), self._pool.submit(_examine_all, self._storage, self._gathered)))
        self._gathered = []

    def _collect(self) -> None:
        objects, task = self._running.popleft()
        self._report.add(task.result())
        self._read(objects)

    def finish(self) -> None:
        self._submit()
        while self._running:
            self._collect()


def _examine_all(storage: Storage, work: Work) -> list[Finding]:
    return [finding for name, pieces in work for finding in _examine(storage, name, pieces)]


def _examine(storage: Storage, name: str, pieces: Iterable[Piece]) -> Iterator[Finding]:
    chunks = open_output(storage, name)
    if isinstance(chunks, Finding):
        yield chunks
    else:
        yield from judge_object(name, pieces, chunks)
