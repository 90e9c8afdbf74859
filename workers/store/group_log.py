"""The lines of many small groups in one scratch file, from which each group is read together.

It consists of runs: each holds a piece of every group that has one, in the order of the groups. So
all groups are read side by side in one pass over all runs, in memory that is bounded.
"""

import heapq
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from struct import Struct
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

WRITE_BYTES = 256 * 1024
READ_BYTES = 8 * 1024 * 1024  # of all runs together
MIN_READ_BYTES = 4 * 1024  # of one run
MAX_READ_BYTES = 256 * 1024
_header = Struct("<QQ")  # the number of the group, and the bytes of its piece


class GroupLog:
    """Write all runs, then read all groups."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends = [0]  # of the runs in the file
        self._open = ExitStack()
        self._file: IO[bytes] | None = None

    def write_run(self, pieces: Iterable[tuple[int, Sequence[bytes]]]) -> None:
        """Write pieces of groups, ascending by the number of the group. Raises OSError."""
        if self._file is None:
            self._file = self._open.enter_context(self._path.open("wb", WRITE_BYTES))
        for number, lines in pieces:
            self._file.write(_header.pack(number, sum(map(len, lines))))
            self._file.writelines(lines)
        self._file.flush()
        self._ends.append(self._file.tell())

    def read_groups(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Numbers of groups, ascending, each with its pieces in the order in which they came."""
        count = len(self._ends) - 1
        if count == 0:
            return
        size = min(max(READ_BYTES // count, MIN_READ_BYTES), MAX_READ_BYTES)
        with self._path.open("rb", buffering=0) as file:
            runs = [
                _read_run(io.BufferedReader(_Part(file.fileno(), start, end), size))
                for start, end in pairwise(self._ends)
            ]
            for number, pieces in groupby(heapq.merge(*runs, key=itemgetter(0)), itemgetter(0)):
                yield number, (piece for _, piece in pieces)

    def close(self) -> None:
        self._open.close()


def _read_run(run: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
    while header := run.read(_header.size):
        number, size = _header.unpack(header)
        yield number, run.read(size)


class _Part(io.RawIOBase):
    """A part of an open file, for several readers of one descriptor."""

    def __init__(self, file: int, start: int, end: int) -> None:
        self._file, self._position, self._end = file, start, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)[: self._end - self._position]
        size = os.preadv(self._file, [view], self._position)
        self._position += size
        return size
