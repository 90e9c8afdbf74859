"""From a table to the requests of a submission, each asked once, and the row of each answer.

Equal requests to one model are sent once, under the key of their first row. What is remembered of
the rows lies in a scratch database, so that memory does not grow with them.
"""

import gzip
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from receiver.errors import RowsError
from receiver.outputs.manifest import Record
from receiver.rows.asking import Asking, Attach, digest_request
from receiver.rows.readers import Row, TableFormat, read_rows
from receiver.rows.scratch_database import ScratchDatabase
from receiver.submissions.proof import AnswerRow

GZIP_LEVEL = 3
CHUNK_BYTES = 256 * 1024
TABLES = (
    "CREATE TABLE keys (key BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID",
    "CREATE TABLE asked (digest BLOB PRIMARY KEY, key TEXT) WITHOUT ROWID",
)
INSERT_KEY = "INSERT INTO keys VALUES (?, ?) ON CONFLICT DO NOTHING"
INSERT_ASKED = "INSERT INTO asked VALUES (?, ?) ON CONFLICT DO NOTHING"


class RowKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of the table: its key, and that of the request which answers it."""

    key: str
    asked_as: str | None = None  # the key of an earlier row that asks the same
    is_reused: bool = False  # a stored submission has the answer already

    @property
    def request(self) -> str:
        return self.key if self.asked_as is None else self.asked_as


class RowsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `rows.json`: the table that a submission was made of."""

    file: str  # what the table was called
    format: TableFormat
    table: Record  # its bytes
    columns: tuple[str, ...]
    rows: int
    requests: int  # that are asked; the other rows get an answer of these
    key: str | None  # the column of the keys; None: the row's number
    keys: Record  # gzip of `RowKey` as JSON lines
    keys_sha256: str  # hex; of each row's key as JSON and a newline, in order
    schema: dict[str, Any] | None = None  # of the answers
    is_embedding: bool = False
    # Gzip of the answers (`AnswerRow`) that stored submissions have, in the order of the rows.
    reused: Record | None = None
    copied_from: dict[str, int] = {}  # how many, by batch


@dataclass(frozen=True)
class WrittenRows:
    """What `write_requests` found."""

    rows: int
    requests: int
    keys_sha256: str  # hex
    copied_from: dict[str, int]  # answers of stored submissions, by batch

    @property
    def reused(self) -> int:
        return sum(self.copied_from.values())

    @property
    def copied(self) -> int:
        """Rows whose request another row asks, too."""
        return self.rows - self.requests - self.reused


@dataclass(frozen=True)
class RowFiles:
    """Where `write_requests` writes; all of them are new."""

    requests: Path
    keys: Path
    reused: Path

    @classmethod
    def below(cls, folder: Path, name: str) -> "RowFiles":
        """`name` is that of the file of requests."""
        return cls(folder / name, folder / "keys of rows", folder / "reused answers")


def find_nothing(_digest: bytes) -> AnswerRow | None:
    """Without `--reuse`, no stored answer is looked for."""
    return None


def write_requests(  # noqa: PLR0913, PLR0917 - where from, what, and where to
    table: Path,
    form: TableFormat,
    asking: Asking,
    attach: Attach,
    files: RowFiles,
    find_stored: Callable[[bytes], AnswerRow | None] = find_nothing,
    on_row: Callable[[int], None] = lambda _: None,
) -> WrittenRows:
    """Write the lines of requests, and the keys of all rows; `on_row` is told the row's number.

    `find_stored` gives the answer that a stored submission has for a request of this digest. Raises
    RowsError with the row that is wrong, and StorageError or OSError where the disk fails.
    """
    with (
        ScratchDatabase(files.keys.with_suffix(".seen"), *TABLES) as database,
        files.requests.open("wb") as lines,
        closing(_pack(files.keys)) as keys,
        closing(_pack(files.reused)) as reused,
    ):
        seen = _RowIndex(database)
        writer = _RowWriter(seen, lines, keys, reused, find_stored)
        for row, key, request in _ask_all(table, form, asking, attach):
            if asking.key is not None:
                seen.require_new(key, row.number)
            writer.write(key, request)
            on_row(row.number)
    if not writer.rows:
        raise RowsError(f"{table} has no row")
    return writer.written


def _pack(path: Path) -> IO[bytes]:
    """Takes lines; each write into gzip itself takes longer than the packing of a line."""
    packed = gzip.GzipFile(path, "wb", GZIP_LEVEL, mtime=0)
    return io.BufferedWriter(packed, CHUNK_BYTES)


class _RowWriter:
    """Writes what becomes of each row."""

    def __init__(
        self,
        seen: "_RowIndex",
        requests: IO[bytes],
        keys: IO[bytes],
        reused: IO[bytes],
        find_stored: Callable[[bytes], AnswerRow | None],
    ) -> None:
        self._seen, self._find_stored = seen, find_stored
        self._requests, self._keys, self._reused = requests, keys, reused
        self._digest, self._copied_from = hashlib.sha256(), Counter[str]()
        self.rows = self._asked = 0

    def write(self, key: str, request: dict[str, Any]) -> None:
        row = self._place(key, request)
        self._keys.write(msgspec.json.encode(row) + b"\n")
        self._digest.update(msgspec.json.encode(key) + b"\n")
        self.rows += 1

    def _place(self, key: str, request: dict[str, Any]) -> RowKey:
        digest = digest_request(request)
        first = self._seen.first_to_ask(digest, key)
        if first != key:
            return RowKey(key, first)
        stored = self._find_stored(digest)
        if stored is not None and stored.batch is not None:
            self._reused.write(msgspec.json.encode(stored) + b"\n")
            self._copied_from[stored.batch] += 1
            return RowKey(key, is_reused=True)
        self._requests.write(msgspec.json.encode({"key": key, "request": request}) + b"\n")
        self._asked += 1
        return RowKey(key)

    @property
    def written(self) -> WrittenRows:
        copied_from = dict(sorted(self._copied_from.items()))
        return WrittenRows(self.rows, self._asked, self._digest.hexdigest(), copied_from)


def preview(
    table: Path, form: TableFormat, asking: Asking, attach: Attach, most: int
) -> Iterator[dict[str, Any]]:
    """The lines of the first rows as they would be sent. Raises RowsError."""
    for _, key, request in _ask_all(table, form, asking, attach):
        if most < 1:
            return
        most -= 1
        yield {"key": key, "request": request}


def _ask_all(
    table: Path, form: TableFormat, asking: Asking, attach: Attach
) -> Iterator[tuple[Row, str, dict[str, Any]]]:
    for row in read_rows(table, form):
        key = asking.key_of(row)
        request = asking.request_for(row, attach)
        try:
            msgspec.json.encode((key, request))
        except UnicodeEncodeError as error:
            raise RowsError(
                f"row {row.number} has half a surrogate pair, which UTF-8 can't hold: replace it"
            ) from error
        yield row, key, request


class _RowIndex:
    """The keys and requests so far."""

    def __init__(self, database: ScratchDatabase) -> None:
        self._database = database

    def require_new(self, key: str, number: int) -> None:
        token = hashlib.blake2b(key.encode(), digest_size=16).digest()
        if self._database.change(INSERT_KEY, (token, number)):
            return
        (first,) = self._database.find("SELECT number FROM keys WHERE key = ?", (token,))
        raise RowsError(
            f"row {number} has the key {key[:60]!r}, like row {first}: give each row its own"
            " key, or leave --key out and the row's number is its key"
        )

    def first_to_ask(self, digest: bytes, key: str) -> str:
        """The key under which this is asked: that of the first row that asks it."""
        if self._database.change(INSERT_ASKED, (digest, key)):
            return key
        first: str = self._database.find("SELECT key FROM asked WHERE digest = ?", (digest,))[0]
        return first
