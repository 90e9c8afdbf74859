"""The index of a batch: one row a line of its source, compressed in a thread beside the hot loop.

Its bytes depend on the rows alone: no clock and no file name is in the gzip header.
"""

import gzip
import hashlib
import json
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

LEVEL = 1  # hashes don't shrink, and the rest shrinks well at any level
MOST_WAITING = 4  # blocks of rows, so that a slow disk does not fill the memory


class IndexRow(msgspec.Struct, gc=False):
    """One line of the source, and the bytes that it became."""

    line: int  # from 1
    key: str | None
    outcome: str
    object: str  # from the storage root
    offset: int  # bytes
    length: int  # bytes, without the newline
    sha256: str  # hex, of those bytes


_encode_lines = msgspec.json.Encoder().encode_lines


def encode_rows(rows: list[IndexRow]) -> bytes:
    """One line of JSON a row; in ASCII where a key holds what UTF-8 can't."""
    try:
        return _encode_lines(rows)
    except UnicodeEncodeError:
        return b"".join(json.dumps(msgspec.structs.asdict(row), separators=(",", ":")).encode() + b"\n" for row in rows)


class IndexWriter:
    """Writes rows to a gzip file. zlib lets other threads run, so the compression costs the caller nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=self._file, mtime=0)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._waiting: deque[Future[int]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        self._file.close()

    def add(self, rows: list[IndexRow]) -> None:
        """Write rows, in order. Raises OSError of an earlier block when the disk refused it."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._gzip.write, encode_rows(rows)))

    def finish(self) -> str:
        """Complete the file. Gives its sha256 in hex."""
        for future in self._waiting:
            future.result()
        self._gzip.close()
        self._file.close()
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
