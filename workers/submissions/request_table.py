"""What became of every request of a submission, in a table on disk: a million take 250 MB there.

A request may be sent several times. Each sending is a try, with a number that grows. The final
outcome is that of the last line that answered the request, else that of the last try; an answer
that does not fit RESPONSE_SCHEMA gives way to one that does.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from receiver.answers.index_rows import StoredRow
from receiver.errors import StorageError
from receiver.outputs.outcomes import ANSWERED, Outcome
from receiver.submissions.proof import INVALID, MISSING
from workers.store.scratch_table import open_table

T = TypeVar("T")
TOKEN_BYTES = 16
ROWS_TOGETHER = 4096
_UNANSWERED, _UNFIT, _ANSWERED = range(3)  # how good a final outcome is

_CREATE_REQUESTS = (
    "CREATE TABLE requests (request INTEGER PRIMARY KEY, token BLOB, try INTEGER, remedy INTEGER,"
    " grade INTEGER, outcome TEXT, final_try INTEGER,"
    " object TEXT, offset INTEGER, length INTEGER, sha256 TEXT)"
)
_CREATE_FAULTS = "CREATE TABLE faults (token BLOB PRIMARY KEY, words TEXT) WITHOUT ROWID"
_INSERT = "INSERT INTO requests VALUES (NULL, ?, ?, ?, 0, NULL, ?, NULL, NULL, NULL, NULL)"
_BEGIN = "UPDATE requests SET try = ?, remedy = ? WHERE token = ?"
_BEGIN_FINAL = (
    "UPDATE requests SET outcome = NULL, final_try = ?,"
    " object = NULL, offset = NULL, length = NULL, sha256 = NULL WHERE token = ? AND grade = 0"
)
_END = "UPDATE requests SET remedy = ? WHERE token = ? AND try = ?"
_END_FINAL = (
    "UPDATE requests SET remedy = ?, grade = ?, outcome = ?, final_try = ?,"
    " object = ?, offset = ?, length = ?, sha256 = ? WHERE token = ? AND try = ? AND grade <= ?"
)
_SELECT = "SELECT request, final_try, outcome, object, offset, length, sha256 FROM requests"


class Remedy(IntEnum):
    """Whether a request may be answered if it is sent again, and what changes in it."""

    NONE = 0
    AGAIN = 1  # as it is
    WIDER = 2  # with more room for the answer
    EXPLAINED = 3  # it broke the schema; the validator's words may be added


class FinalOutcome(NamedTuple):
    """What became of a request; of a missing one there is no object."""

    request: int  # from 1
    try_number: int | None  # None: it was never sent
    outcome: str | None  # an Outcome or INVALID; None where it is missing
    object: str | None
    offset: int | None
    length: int | None
    sha256: str | None


class _Judged(NamedTuple):
    """What a line says of its request."""

    token: bytes
    row: StoredRow
    outcome: str
    grade: int
    remedy: Remedy
    fault: str | None

    def final(self, number: int) -> tuple[object, ...]:
        """The values of `_END_FINAL`."""
        row, grade = self.row, self.grade
        place = (row.object, row.offset, row.length, row.sha256)
        return (self.remedy, grade, self.outcome, number, *place, self.token, number, grade)


def token_of(key: str) -> bytes:
    """What stands for a key, whatever it holds."""
    return blake2b(key.encode(errors="surrogatepass"), digest_size=TOKEN_BYTES).digest()


class RequestTable:
    """Add all requests, then the tries in their order. A context manager.

    Methods raise StorageError where the scratch disk fails.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is on the scratch disk."""
        with _explain_disk_faults(folder):
            self._folder, self._table = folder, open_table(folder / "requests")
            self._table.execute(_CREATE_REQUESTS)
            self._table.execute(_CREATE_FAULTS)
            self._table.execute("BEGIN")
        self._has_index = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def add_requests(
        self, keys: Iterable[str], try_number: int | None, remedy: Remedy = Remedy.NONE
    ) -> None:
        """Add requests in order, with their first try; None where they were not sent.

        `remedy` is for those of which no line will be added.
        """
        rows = ((token_of(key), try_number, remedy, try_number) for key in keys)
        self._execute(_INSERT, rows)

    def add_unknown(self, keys: Iterable[str], try_number: int) -> None:
        """Add those requests that are not in the table."""
        self._index()
        for some in _in_lots(keys):
            unknown = [key for key in dict.fromkeys(some) if self.final(key) is None]
            self.add_requests(unknown, try_number)

    def begin_try(self, keys: Iterable[str], number: int, remedy: Remedy) -> None:
        """Send requests again; those that are not in the table are left out."""
        for some in _in_lots(keys):
            tokens = [token_of(key) for key in some]
            self._execute(_BEGIN, ((number, remedy, token) for token in tokens))
            self._execute(_BEGIN_FINAL, ((number, token) for token in tokens))

    def add_results(self, number: int, rows: Iterable[tuple[StoredRow, str | None]]) -> None:
        """Take the lines of a try, each with why it does not fit the schema, if it does not.

        Lines without a key, second lines of a key, and answers that the try did not ask for count
        for nothing.
        """
        for some in _in_lots(rows):
            judged = [
                _judge(row.key, row, fault)
                for row, fault in some
                if row.key is not None and row.outcome != Outcome.DUPLICATE
            ]
            self._execute(_END_FINAL, (one.final(number) for one in judged))
            unanswered = [one for one in judged if one.grade != _ANSWERED]
            self._execute(_END, ((one.remedy, one.token, number) for one in unanswered))
            faults = ((one.token, one.fault) for one in unanswered if one.outcome == INVALID)
            self._execute("INSERT OR REPLACE INTO faults VALUES (?, ?)", faults)

    def add_retries(self, number: int, keys: Iterable[str]) -> None:
        """Note the requests of a try that may be answered if they are sent again as they are."""
        rows = ((Remedy.AGAIN, token_of(key), number) for key in keys)
        self._execute(_END, rows)

    def withhold(self, keys: Iterable[str]) -> None:
        """Somebody else sends these requests again."""
        statement = "UPDATE requests SET remedy = 0 WHERE token = ?"
        self._execute(statement, ((token_of(key),) for key in keys))

    def open_tries(self) -> list[int]:
        """The tries that hold the last sending of a request which may be sent again."""
        query = (
            "SELECT DISTINCT try FROM requests WHERE remedy > 0 AND grade < 2 AND try NOT NULL"
            " ORDER BY try"
        )
        return [number for (number,) in self._select(query)]

    def remedy(self, number: int, key: str) -> Remedy:
        """Of a request whose last try this is; else NONE."""
        self._index()
        query = "SELECT remedy FROM requests WHERE token = ? AND try = ? AND grade < 2"
        found = self._select(query, token_of(key), number)
        return next((Remedy(one) for (one,) in found), Remedy.NONE)

    def fault(self, key: str) -> str | None:
        """Why the last answer did not fit the schema."""
        query = "SELECT words FROM faults WHERE token = ?"
        return next((words for (words,) in self._select(query, token_of(key))), None)

    def finals(self) -> Iterator[FinalOutcome]:
        """Of every request, in order."""
        return map(FinalOutcome._make, self._select(f"{_SELECT} ORDER BY request"))

    def outcomes(self) -> dict[str, int]:
        """How many requests have each final outcome, by the names of the outcomes in order."""
        query = "SELECT outcome, COUNT(*) FROM requests GROUP BY outcome"
        return dict(sorted((outcome or MISSING, count) for outcome, count in self._select(query)))

    def tally(self) -> list[tuple[int | None, str | None, int]]:
        """How many requests have each final try and outcome."""
        query = "SELECT final_try, outcome, COUNT(*) FROM requests GROUP BY final_try, outcome"
        return list(self._select(query))

    def final(self, key: str) -> FinalOutcome | None:
        """Of the request with this key, if there is one."""
        self._index()
        found = self._select(f"{_SELECT} WHERE token = ?", token_of(key))
        return next(map(FinalOutcome._make, found), None)

    def _select(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        with _explain_disk_faults(self._folder):
            yield from self._table.execute(query, values)

    def _index(self) -> None:
        """Sorted at once, an index is made far faster than row by row."""
        if not self._has_index:
            self._table.execute("CREATE INDEX by_token ON requests (token)")
            self._has_index = True

    def _execute(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        with _explain_disk_faults(self._folder):
            if not statement.startswith("INSERT"):
                self._index()
            self._table.executemany(statement, rows)


def _in_lots(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while lot := list(islice(rest, ROWS_TOGETHER)):
        yield lot


def _judge(key: str, row: StoredRow, fault: str | None) -> _Judged:
    """What may help is left to `_retry.jsonl` where the same request may help."""
    outcome, grade, remedy = row.outcome, _UNANSWERED, Remedy.NONE
    if outcome == Outcome.TRUNCATED:
        remedy = Remedy.WIDER
    elif outcome in ANSWERED and fault is None:
        grade = _ANSWERED
    elif outcome in ANSWERED:
        outcome, grade, remedy = INVALID, _UNFIT, Remedy.EXPLAINED
    return _Judged(token_of(key), row, outcome, grade, remedy, fault)


@contextmanager
def _explain_disk_faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, UnicodeEncodeError) as error:
        words = f"{folder} did not hold the table of requests: {error}"
        raise StorageError(words) from error
