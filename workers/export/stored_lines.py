"""Reads the lines that rows of answers name, many at a time and each checked by its digest."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from receiver.errors import StorageError
from receiver.storage import Storage
from receiver.storage.ordered_map import ordered_map
from receiver.submissions.proof import AnswerRow

MAX_OPEN = 64  # shared objects, in scratch files
PARALLEL_FROM = 16  # objects: below, threads cost more than they bring


class StoredLines:
    """The lines of answers; a context manager that lets go of its scratch files."""

    def __init__(self, storage: Storage, scratch: Path) -> None:
        self._storage, self._scratch = storage, scratch
        self._open: OrderedDict[str, int] = OrderedDict()  # descriptors
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self, rows: Sequence[AnswerRow], *, is_shared: bool) -> list[bytes]:
        """The line of each row, which all have one. `is_shared`: many lines lie in one object.

        Raises StorageError where the bytes are not those that were written.
        """
        if is_shared:
            lines = self._cut_all(rows)
        elif len(rows) < PARALLEL_FROM:
            lines = [self._fetch(row) for row in rows]
        else:
            lines = list(ordered_map(self._fetch, rows))
        for row, line in zip(rows, lines, strict=True):
            if hashlib.sha256(line).hexdigest() != row.sha256:
                raise StorageError(
                    f"{row.object} has changed since it was written: see `verify`", retryable=False
                )
        return lines

    def _fetch(self, row: AnswerRow) -> bytes:
        data = self._storage.read(row.object or "")
        if data is None:
            raise _absent(row)
        start = row.offset or 0
        return data[start : start + (row.length or 0)]

    def _cut_all(self, rows: Sequence[AnswerRow]) -> list[bytes]:
        """Lines of shared objects, in one read where they lie together, as most do.

        By `pread`: pages of a mapping would count as memory of this process.
        """
        lines, start = list[bytes](), 0
        for end in range(1, len(rows) + 1):
            if end < len(rows) and _follows(rows[end - 1], rows[end]):
                continue
            first, last = rows[start], rows[end - 1]
            begin = first.offset or 0
            size = (last.offset or 0) + (last.length or 0) - begin
            data = os.pread(self._descriptor(first), size, begin)
            for row in rows[start:end]:
                at = (row.offset or 0) - begin
                lines.append(data[at : at + (row.length or 0)])
            start = end
        return lines

    def _descriptor(self, row: AnswerRow) -> int:
        name = row.object or ""
        found = self._open.get(name)
        if found is None:
            return self._load(row, name)
        self._open.move_to_end(name)
        return found

    def _load(self, row: AnswerRow, name: str) -> int:
        if len(self._open) >= MAX_OPEN:
            os.close(self._open.popitem(last=False)[1])
        self._count += 1
        path = self._scratch / f"object-{self._count}"
        if not self._storage.read_to_file(name, path):
            raise _absent(row)
        descriptor = os.open(path, os.O_RDONLY)
        path.unlink()
        self._open[name] = descriptor
        return descriptor


def _follows(row: AnswerRow, later: AnswerRow) -> bool:
    """Whether its line is the next one of the same object, behind a newline."""
    end = (row.offset or 0) + (row.length or 0) + 1
    return later.offset == end and later.object == row.object


def _absent(row: AnswerRow) -> StorageError:
    return StorageError(
        f"{row.object} is not there, though {row.batch} names it: see `verify`", retryable=False
    )
