"""Reads the lines that rows of answers name, many at a time and each checked by its digest."""

import hashlib
import mmap
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
        self._open: OrderedDict[str, mmap.mmap] = OrderedDict()
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def read(self, rows: Sequence[AnswerRow], *, is_shared: bool) -> list[bytes]:
        """The line of each row, which all have one. `is_shared`: many lines lie in one object.

        Raises StorageError where the bytes are not those that were written.
        """
        if is_shared:
            lines = [self._cut(row) for row in rows]
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

    def _cut(self, row: AnswerRow) -> bytes:
        name = row.object or ""
        data = self._open.get(name)
        if data is None:
            data = self._load(row, name)
        else:
            self._open.move_to_end(name)
        start = row.offset or 0
        return data[start : start + (row.length or 0)]

    def _load(self, row: AnswerRow, name: str) -> mmap.mmap:
        if len(self._open) >= MAX_OPEN:
            self._open.popitem(last=False)[1].close()
        self._count += 1
        path = self._scratch / f"object-{self._count}"
        if not self._storage.read_to_file(name, path):
            raise _absent(row)
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        path.unlink()
        self._open[name] = data
        return data


def _absent(row: AnswerRow) -> StorageError:
    return StorageError(
        f"{row.object} is not there, though {row.batch} names it: see `verify`", retryable=False
    )
