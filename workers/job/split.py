"""Splits the results of a batch into outputs and records: the hot loop of the worker."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Self

from receiver.answers.index_rows import IndexRow
from receiver.outputs.manifest import Objects, Record
from receiver.outputs.outcomes import ERROR_FILE, Outcome
from receiver.outputs.paths import Namer, oversize_name, unkeyed_name
from receiver.storage import Storage
from workers.forms.forms import Forms
from workers.results.doubts import LineCounts
from workers.results.hashed_lines import HashedLines
from workers.results.lines import BlankLines, Block, OversizeLine
from workers.results.parser import is_blank, line_parser
from workers.results.result_counts import ResultCounts
from workers.results.rules import Result, malformed
from workers.store.manifest import Written
from workers.store.records import RecordWriter, RowSink
from workers.store.sinks import GroupSink, ObjectSink, Sink

# A module's name is looked up faster than a member of an enum.
_OK, _MALFORMED = Outcome.OK, Outcome.MALFORMED


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


class _OversizeFile:
    """Takes the bytes of lines that are too long for memory, one line after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored: list[Record] = []
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self.path.open("wb")
        self._file.write(data)
        self._digest.update(data)

    def store(self, storage: Storage, name: str) -> None:
        self.write(b"\n")
        assert self._file is not None  # noqa: S101 - for the type checker: write opened it
        self._file.close()
        self._file = None
        storage.put_files([(name, self.path)])
        self.stored.append(Record(name, self._digest.hexdigest()))
        self._digest = hashlib.sha256()


class Split:
    """One pass over one batch's results; a context manager: `run`, then `store`."""

    def __init__(  # noqa: PLR0913, PLR0917 - what one pass works with
        self,
        batch_id: str,
        storage: Storage,
        namer: Namer,
        counts: ResultCounts,
        check: Callable[[], None],
        scratch: Path,
        forms: Forms | None = None,
        *,
        sink: Sink | None = None,
        index: RowSink | None = None,
        result_key: str = "",
    ) -> None:
        """`sink` takes the outputs and `index` the rows, instead of the storage."""
        self._batch_id, self._storage, self._namer = batch_id, storage, namer
        self._counts, self._check = counts, check
        self._sink = sink or (
            GroupSink(storage, check, scratch) if namer.groups else ObjectSink(storage, check)
        )
        self._records = RecordWriter(batch_id, scratch, index)
        self._forms = forms
        self._parse = line_parser(result_key)
        self._oversize = _OversizeFile(scratch / "oversize")
        self._lines = HashedLines(oversize_sink=self._oversize.write)
        self.line_counts = LineCounts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._sink.stop()
        self._records.close()

    @property
    def size_bytes(self) -> int:
        """Size of the source so far."""
        return self._lines.bytes_seen

    def run(self, chunks: Iterable[bytes]) -> None:
        """Give every line its outcome and its place."""
        number = 0
        for block in self._lines.split(chunks):
            if isinstance(block, BlankLines):
                self._counts.add_blank(block.lines)
                number += block.lines
                rows: list[IndexRow] = []
            elif isinstance(block, OversizeLine):
                rows = [self._add_oversize(number + 1, block)]
                number += 1
            else:
                rows = self._add_lines(block, number)
                if self._forms is not None:
                    self._forms.add(rows, block.lines, number)
                number += len(block.lines)
            self._records.index.add(rows)
            self.line_counts.ends_malformed = (
                bool(rows) and rows[-1].key is None and rows[-1].outcome == Outcome.MALFORMED
            )
            self._check()
        self.line_counts.is_unterminated = self._lines.unterminated

    def _add_lines(self, block: Block, before: int) -> list[IndexRow]:
        """The block's rows of the index; `before` lines come before it."""
        parse, valid_utf8 = self._parse, block.valid_utf8
        count, name_of, write = self._counts.add, self._namer.name, self._sink.write
        rows = []
        digests = block.digests or map(_sha256, block.lines)
        for number, (line, digest) in enumerate(zip(block.lines, digests, strict=True), before + 1):
            result = parse(line, valid_utf8=valid_utf8)
            if result.outcome is _MALFORMED and is_blank(line):
                self._counts.add_blank()
                continue
            outcome = count(result)
            key = result.key
            if outcome is not _OK or key is None:
                rows.append(self._add_other(number, result, outcome, line, digest))
                continue
            name = name_of(key)
            rows.append(
                IndexRow(
                    number,
                    key,
                    outcome,
                    name,
                    write(name, line),
                    len(line),
                    digest,
                )
            )
        return rows

    def _add_other(
        self, number: int, result: Result, outcome: Outcome, line: bytes, digest: str
    ) -> IndexRow:
        """The row of a line that is no plain answer."""
        key = result.key
        self.line_counts.add(key, outcome, line)
        if result.retryable and key is not None and outcome is not Outcome.DUPLICATE:
            self._records.add_retry(key, may_be_answered=outcome is Outcome.MALFORMED)
        if outcome in ERROR_FILE:
            return self._records.add_error(number, result, outcome, line)
        namer = self._namer
        name = (
            unkeyed_name(self._batch_id, number, groups=namer.groups)
            if key is None
            else namer.name(key)
        )
        return IndexRow(number, key, outcome, name, self._sink.write(name, line), len(line), digest)

    def _add_oversize(self, number: int, line: OversizeLine) -> IndexRow:
        """Keep a line that is too long to be read whole, under its number."""
        name = oversize_name(self._batch_id, number)
        self._check()
        self._oversize.store(self._storage, name)
        message = f"a line of {line.size_bytes} bytes is too long to be read; it is kept as {name}"
        result = malformed("oversize", message)
        self._counts.add(result)
        row = self._records.add_error(number, result, Outcome.MALFORMED, b"")
        if self._forms is not None:
            self._forms.add_unread(row, result)
        return row

    def store(self, complete_retries: Callable[[Path], None] | None = None) -> Written:
        """Write what has gathered; all but the manifest is in the storage then.

        `complete_retries` is that of `RecordWriter.store`.
        """
        self._sink.close()
        self._check()
        forms = self._forms.store() if self._forms is not None else None
        records = self._records.store(self._storage, self._counts.answered, complete_retries)
        objects = Objects(self._sink.objects, self._sink.size_bytes)
        oversize, unmatched = tuple(self._oversize.stored), self._namer.unmatched
        return Written(objects, **records, oversize=oversize, unmatched=unmatched, forms=forms)
