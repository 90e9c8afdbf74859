"""Exports a submission: the rows of its input in their order, each with its answer.

What is written is proven before it has its name: as many rows as the input, the keys of the
submission's record, the answers of its manifest.
"""

import gc
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec

from receiver.answers.reasons import parse_reason
from receiver.errors import ExportError
from receiver.outputs.manifest import Record, read_naming
from receiver.outputs.outcomes import ANSWERED, ERROR_FILE
from receiver.outputs.prices import Prices
from receiver.rows.plan import RowsRecord
from receiver.rows.readers import TableFormat
from receiver.storage import Storage
from receiver.submissions.proof import AnswerRow, SubmissionManifest
from workers.export.answer_cells import AnswerCells, failed_cells, missing_cells, read_cells
from workers.export.blocks import pair_rows, split_into_blocks, without_collections
from workers.export.columns import AnswerColumns
from workers.export.filters import OutcomeFilter
from workers.export.input_table import InputTable
from workers.export.joined_rows import JoinedRow, join, join_requests, read_reused
from workers.export.stored_lines import StoredLines
from workers.export.table_files import TableFile, open_table_file
from workers.results.line_cost import cost_of_lines
from workers.results.parser import line_parser
from workers.store.manifest import load_manifest
from workers.store.records import file_sha256


@dataclass(frozen=True)
class Exported:
    """What was written, and proven."""

    rows: int  # of the input, and with every outcome in the file
    written: int  # fewer where a filter left some out
    answered: int
    copied: int  # rows that got the answer of an earlier one


@dataclass(frozen=True)
class ExportJob:
    """What one export works with."""

    storage: Storage
    prices: Prices
    manifest: SubmissionManifest
    record: RowsRecord | None  # None: the submission was made of requests
    scratch: Path  # an empty folder

    def run(
        self,
        target: Path,
        form: TableFormat,
        chosen: OutcomeFilter,
        on_rows: Callable[[int], None] = lambda _: None,
    ) -> Exported:
        """Write the table; `target` appears once it is whole. `on_rows` is told of rows done.

        Raises ExportError, StorageError and RowsError.
        """
        answers = self._fetch(self.manifest.answers, "answers")
        table = InputTable(self._fetch_table(), self.record)
        is_embedding = self.record is not None and self.record.is_embedding
        columns = AnswerColumns.choose(
            table.columns, self.record.schema if self.record else None, is_embedding=is_embedding
        )
        types = table.types(form)
        part = target.with_name(f".{token_hex(8)}.part")  # two exports may write the same target
        try:
            file = open_table_file(part, form, types, columns.kinds)
            try:
                counts = self._write(file, table.cells, types, columns, answers, chosen, on_rows)
            finally:
                file.close()
            self._prove(part, form, counts)
            _make_durable(part)
            part.replace(target)
        except OSError as error:
            words = f"{target} can't be written: {error.strerror or error}"
            raise ExportError(words, is_of_disk=True) from error
        finally:
            with suppress(OSError):  # such as a read-only disk, of which the first error tells
                part.unlink()
        return counts.exported

    def _fetch_table(self) -> Path:
        if self.record is None:
            return self.scratch / "none"
        return self._fetch(self.record.table, "table")

    def _fetch(self, record: Record, called: str) -> Path:
        """A scratch copy of an object, which must be what the record says."""
        path = self.scratch / called
        if not self.storage.read_to_file(record.name, path):
            raise ExportError(f"{record.name} is not in the storage: see `submissions verify`")
        if file_sha256(path) != record.sha256:
            raise ExportError(f"{record.name} has changed since: see `submissions verify`")
        return path

    def _read_reused(self) -> Iterator[AnswerRow]:
        if self.record is None or self.record.reused is None:
            return iter(())
        return read_reused(self._fetch(self.record.reused, "reused"))

    def _write(  # noqa: PLR0913, PLR0917 - where from and where to
        self,
        file: TableFile,
        read_cells_of: Callable[[dict[str, Any]], Iterator[list[Any]]],
        types: dict[str, Any],
        columns: AnswerColumns,
        answers: Path,
        chosen: OutcomeFilter,
        on_rows: Callable[[int], None],
    ) -> "_Counts":
        counts = _Counts()
        if self.record is None:
            joined: Iterator[JoinedRow] = join_requests(answers)
            cells: Iterator[list[Any]] = ([row.key] for row in join_requests(answers))
        else:
            keys = self._fetch(self.record.keys, "keys")
            joined = join(keys, answers, self._read_reused(), self.scratch)
            cells = read_cells_of(types)
        with without_collections(), StoredLines(self.storage, self.scratch) as lines:
            reader = _AnswerReader(self.storage, self.prices, columns, lines)
            for block in split_into_blocks(pair_rows(joined, cells)):
                rows = [row for row, _ in block]
                ours = reader.read(rows)
                counts.add(rows, ours)
                kept = [
                    [*theirs, *one.cells]
                    for (_, theirs), one in zip(block, ours, strict=True)
                    if chosen.takes(one.outcome)
                ]
                counts.written += len(kept)
                file.write(kept)
                on_rows(len(block))
                gc.collect(1)
        return counts

    def _prove(self, part: Path, form: TableFormat, counts: "_Counts") -> None:
        """Raises ExportError unless the rows are those that the submission was made of."""
        asked = counts.rows - counts.copied
        if asked != self.manifest.requests:
            raise ExportError(
                f"{asked:,} answers were read, and the manifest says {self.manifest.requests:,}"
            )
        record = self.record
        if record is not None and (record.rows, record.keys_sha256) != (counts.rows, counts.digest):
            raise ExportError(
                f"{counts.rows:,} rows were read, with other keys than the {record.rows:,} rows"
                " that the submission was made of"
            )
        if form == "parquet":
            found = _count_parquet(part)
            if found != counts.written:
                raise ExportError(f"{found:,} rows arrived in the file, not {counts.written:,}")


class _Counts:
    """What has been read and written."""

    def __init__(self) -> None:
        self.rows = self.written = self.answered = self.copied = 0
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of the keys, in hex, as in `RowsRecord.keys_sha256`."""
        return self._digest.hexdigest()

    @property
    def exported(self) -> Exported:
        return Exported(self.rows, self.written, self.answered, self.copied)

    def add(self, block: Sequence[JoinedRow], ours: Sequence[AnswerCells]) -> None:
        self.rows += len(block)
        self.copied += sum(one.is_copy for one in block)
        self.answered += sum(one.outcome in ANSWERED for one in ours)
        self._digest.update(b"".join(msgspec.json.encode(one.key) + b"\n" for one in block))


class _Batch:
    """What reading the lines of one batch takes."""

    def __init__(self, storage: Storage, prices: Prices, name: str) -> None:
        manifest = load_manifest(storage, name)
        if manifest is None:
            raise ExportError(f"{name} is not in the storage: see `submissions verify`")
        self.is_shared = read_naming(manifest).template.groups
        self.parse = line_parser(manifest.result_key or "")
        self.cost = cost_of_lines(prices, manifest.model, manifest.ended)


class _AnswerReader:
    """Reads the cells of answers, block by block."""

    def __init__(
        self, storage: Storage, prices: Prices, columns: AnswerColumns, lines: StoredLines
    ) -> None:
        self._storage, self._prices = storage, prices
        self._columns, self._lines = columns, lines
        self._batches: dict[str, _Batch] = {}

    def read(self, block: Sequence[JoinedRow]) -> list[AnswerCells]:
        """The cells of each row of a block."""
        by_kind: dict[tuple[str, bool], list[int]] = {}
        for place, row in enumerate(block):
            answer = row.answer
            if answer.object is not None and answer.batch is not None:
                is_error = answer.outcome in ERROR_FILE
                by_kind.setdefault((answer.batch, is_error), []).append(place)
        found: list[AnswerCells | None] = [None] * len(block)
        for (batch, is_error), places in by_kind.items():
            some = [block[place] for place in places]
            for place, cells in zip(
                places, self._read_some(batch, some, is_error=is_error), strict=True
            ):
                found[place] = cells
        return [
            missing_cells(self._columns, row.answer) if cells is None else cells
            for row, cells in zip(block, found, strict=True)
        ]

    def _read_some(
        self, batch: str, rows: Sequence[JoinedRow], *, is_error: bool
    ) -> Iterator[AnswerCells]:
        known = self._batches.get(batch)
        if known is None:
            known = self._batches[batch] = _Batch(self._storage, self._prices, batch)
        answers = [row.answer for row in rows]
        lines = self._lines.read(answers, is_shared=is_error or known.is_shared)
        for row, line in zip(rows, lines, strict=True):
            if is_error:
                yield failed_cells(self._columns, row, parse_reason(line))
            else:
                yield read_cells(self._columns, row, line, known.parse, known.cost)


def _count_parquet(path: Path) -> int:
    from pyarrow import parquet  # noqa: PLC0415 - only Parquet needs it

    count: int = parquet.read_metadata(path).num_rows
    return count


def _make_durable(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
