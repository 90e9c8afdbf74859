"""Splits a source of results into outputs and records: the hot loop of the worker."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from receiver.layout import Namer, batch_folder, unkeyed_name
from receiver.storage import Storage
from workers.account import Account
from workers.lines import LineSplitter, OversizeLine
from workers.manifest import Written
from workers.outcomes import Outcome, Result, malformed
from workers.records import IndexRow, Records
from workers.results import is_blank, parse_result
from workers.sinks import GroupSink, ObjectSink, Sink

NO_ANSWER = frozenset({Outcome.ERROR, Outcome.MALFORMED, Outcome.DUPLICATE})


class _OversizeFile:
    """Takes the bytes of lines that are too long to hold, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self.path.open("wb")
        self._file.write(data)

    def store(self, storage: Storage, name: str) -> None:
        self.write(b"\n")
        assert self._file is not None  # noqa: S101 - for the type checker: write opened it
        self._file.close()
        self._file = None
        storage.put_file(name, self.path)


class Split:
    """One pass over one batch's results. `run`, then `store`."""

    def __init__(  # noqa: PLR0913, PLR0917 - what one pass works with
        self, batch_id: str, storage: Storage, namer: Namer, account: Account, check: Callable[[], None], scratch: Path
    ) -> None:
        self._batch_id, self._storage, self._namer = batch_id, storage, namer
        self._account, self._check = account, check
        self._sink: Sink = GroupSink(storage, check, scratch) if namer.groups else ObjectSink(storage, check)
        self._records = Records(batch_id, scratch)
        self._oversize = _OversizeFile(scratch / "oversize")
        self._splitter = LineSplitter(oversize_sink=self._oversize.write)
        self._digest = hashlib.sha256()
        self.ends_cut = False  # the last line has no newline and is no JSON

    @property
    def size_bytes(self) -> int:
        """Size of the source so far."""
        return self._splitter.bytes_seen

    @property
    def sha256(self) -> str:
        """Hex digest of the source so far."""
        return self._digest.hexdigest()

    def _hashed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._digest.update(chunk)
            yield chunk

    def run(self, chunks: Iterable[bytes]) -> None:
        """Give every line its outcome and its place."""
        number = 0
        last: Result | None = None
        for block in self._splitter.split(self._hashed(chunks)):
            if isinstance(block, OversizeLine):
                number += 1
                self._add_oversize(number, block)
                continue
            for line in block.lines:
                number += 1
                if is_blank(line):
                    self._account.blank += 1
                    continue
                last = parse_result(line, valid_utf8=block.valid_utf8)
                self._add(number, last, line)
            self._check()
        self.ends_cut = self._splitter.unterminated and last is not None and last.outcome is Outcome.MALFORMED

    def _add(self, number: int, result: Result, line: bytes) -> None:
        outcome = self._account.add(result)
        if result.retryable and result.key is not None and outcome is not Outcome.DUPLICATE:
            self._records.add_retry(result.key)
        if outcome in NO_ANSWER:
            self._records.add_error(number, result, outcome, line)
            return
        if result.key is None:
            name = unkeyed_name(self._batch_id, number, groups=self._namer.groups)
        else:
            name = self._namer.name(result.key)
        offset, digest = self._sink.write(name, line), hashlib.sha256(line).hexdigest()
        self._records.add_row(IndexRow(number, result.key, outcome, name, offset, len(line), digest))

    def _add_oversize(self, number: int, line: OversizeLine) -> None:
        """Keep a line that is too long to be read, whole, under its number."""
        name = f"{batch_folder(self._batch_id)}/_oversize/{number}.json"
        self._check()
        self._oversize.store(self._storage, name)
        message = f"a line of {line.size_bytes} bytes is too long to be read; it is kept as {name}"
        result = malformed("oversize", message)
        self._account.add(result)
        self._records.add_error(number, result, Outcome.MALFORMED, b"")

    def store(self) -> Written:
        """Write what has gathered; everything but the manifest is in the storage then."""
        self._sink.close()
        self._check()
        digest = self._records.store(self._storage)
        return Written(self._sink.objects, self._sink.size_bytes, self._records.index_name, digest)
