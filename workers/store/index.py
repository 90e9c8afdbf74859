"""The index of a batch: one row a line of its source.

Its bytes depend on the rows alone: no clock and no file name is in the gzip header.
"""

import gzip
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.store.digests import file_sha256
from workers.store.index_rows import IndexRow, encode_rows

LEVEL = 1  # hashes don't shrink, and the rest shrinks well at any level
ROW_BATCH_SIZE = 512


class IndexWriter:
    """Writes rows to a gzip file, for the length of a `with`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._gzip = gzip.GzipFile(
            filename="", mode="wb", compresslevel=LEVEL, fileobj=self._file, mtime=0
        )
        self._rows: list[IndexRow] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, rows: list[IndexRow]) -> None:
        """Write rows, in order."""
        self._rows += rows
        if len(self._rows) >= ROW_BATCH_SIZE:
            self._flush()

    def _flush(self) -> None:
        self._gzip.write(encode_rows(self._rows))
        self._rows.clear()

    def finish(self) -> str:
        """Complete the file. Gives its sha256 in hex."""
        self._flush()
        self._gzip.close()
        self._file.close()
        return file_sha256(self._path)
