"""What is remembered of rows lies in a database on the scratch disk, so that memory is bounded."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from receiver.errors import StorageError

CACHE_KIB = 32 * 1024


class ScratchDatabase:
    """A database that nobody needs after a crash; a context manager that closes it.

    Every call raises StorageError where the disk fails.
    """

    def __init__(self, path: Path, *tables: str) -> None:
        """`path` is new; `tables` are the statements that create its tables."""
        self._folder = path.parent
        with self._explain_faults():
            self._connection = sqlite3.connect(path, isolation_level=None)
            for statement in (
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                f"PRAGMA cache_size = -{CACHE_KIB}",
                *tables,
                "BEGIN",
            ):
                self._connection.execute(statement).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def change(self, statement: str, values: Sequence[Any]) -> int:
        """The number of rows that an INSERT or UPDATE changed."""
        try:
            return self._connection.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def change_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """The same for many rows, which may come from an iterator."""
        with self._explain_faults():
            self._connection.executemany(statement, rows)

    def find(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """The first row that a SELECT finds, if any."""
        try:
            return self._connection.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise self._fault(error) from error

    @contextmanager
    def _explain_faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _fault(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"{self._folder} did not hold what is remembered of the rows: {error}; free some"
            " space, or set SCRATCH_DIR or TMPDIR to a folder on another disk"
        )
