"""Joins the rows of a table with the answers of their requests, in the order of the table.

Requests are asked in the order of the rows that ask them first, so that both are read side by side.
Only answers that further rows copy are remembered, in a scratch database.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from receiver.errors import ExportError
from receiver.rows.plan import RowKey
from receiver.rows.scratch_database import ScratchDatabase
from receiver.submissions.proof import AnswerRow, read_answer_row

TABLE = "CREATE TABLE copied (key TEXT PRIMARY KEY, answer BLOB) WITHOUT ROWID"
CHUNK_BYTES = 256 * 1024
_decode_key = msgspec.json.Decoder(RowKey).decode


class JoinedRow(NamedTuple):
    """One row of the table, and the answer of its request."""

    key: str  # the row's own
    answer: AnswerRow
    is_copy: bool  # an earlier row or an earlier submission asked the same


def _unpack(path: Path) -> io.BufferedReader:
    """Its lines; gzip's own iterator takes as long again as the unpacking."""
    return io.BufferedReader(gzip.GzipFile(path, "rb"), CHUNK_BYTES)


def read_keys(path: Path) -> Iterator[RowKey]:
    """The keys of all rows. Raises ExportError where the file is not whole."""
    with _explain_keys(), _unpack(path) as lines:
        for line in lines:
            yield _decode_key(line)


@contextmanager
def _explain_keys() -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, msgspec.MsgspecError) as error:
        raise ExportError(f"the keys of the rows can't be read: {error}") from error


def _read_copied(path: Path) -> Iterator[str]:
    """The keys of the requests that further rows share."""
    with _explain_keys(), _unpack(path) as lines:
        for line in lines:
            # Quotes in a key are escaped, so this finds the member alone.
            if b'"asked_as":' in line and (first := _decode_key(line).asked_as) is not None:
                yield first


def read_answers(path: Path) -> Iterator[AnswerRow]:
    """Every row of `answers.jsonl`. Raises ExportError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield read_answer_row(line)
            except (ValueError, RecursionError) as error:
                raise ExportError(
                    f"row {number} of answers.jsonl can't be read: {error}"
                ) from error


def join(
    keys: Path, answers: Path, reused: Iterator[AnswerRow], scratch: Path
) -> Iterator[JoinedRow]:
    """Every row of a table with its answer; `reused` are those of earlier submissions, in order.

    Raises ExportError where they do not belong together, StorageError where the disk fails.
    """
    with _Copied(scratch / "copied", keys) as copied:
        answered = read_answers(answers)
        for row in read_keys(keys):
            if row.asked_as is not None:
                yield JoinedRow(row.key, copied.find(row.asked_as), is_copy=True)
                continue
            if row.is_reused:
                yield _take_reused(row, reused, copied)
                continue
            answer = next(answered, None)
            if answer is None or answer.key != row.key:
                found = "missing" if answer is None else f"of {answer.key!r}"
                raise ExportError(
                    f"the answer of {row.key!r} is {found}: `submissions verify` says what is off"
                )
            copied.note(answer)
            yield JoinedRow(row.key, answer, is_copy=False)
        if next(answered, None) is not None:
            raise ExportError("there are more answers than requests: see `submissions verify`")


def _take_reused(row: RowKey, reused: Iterator[AnswerRow], copied: "_Copied") -> JoinedRow:
    answer = next(reused, None)
    if answer is None:
        raise ExportError(f"the stored answer that {row.key!r} takes is missing")
    copied.note(msgspec.structs.replace(answer, key=row.key))
    return JoinedRow(row.key, answer, is_copy=True)


def read_reused(path: Path) -> Iterator[AnswerRow]:
    """The answers of earlier submissions. Raises ExportError where the file is not whole."""
    try:
        with _unpack(path) as lines:
            for line in lines:
                yield read_answer_row(line)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise ExportError(f"the answers of earlier submissions can't be read: {error}") from error


def join_requests(answers: Path) -> Iterator[JoinedRow]:
    """The requests themselves, of a submission that was made of no table."""
    for answer in read_answers(answers):
        yield JoinedRow(answer.key, answer, is_copy=False)


class _Copied:
    """The answers that more than one row gets; a context manager."""

    def __init__(self, path: Path, keys: Path) -> None:
        self._database = ScratchDatabase(path, TABLE)
        self._has_any = self._add(_read_copied(keys))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.__exit__()

    def _add(self, keys: Iterable[str]) -> bool:
        insert = "INSERT INTO copied VALUES (?, NULL) ON CONFLICT DO NOTHING"
        self._database.change_all(insert, ((key,) for key in keys))
        return bool(self._database.find("SELECT count(*) FROM copied")[0])

    def note(self, answer: AnswerRow) -> None:
        if self._has_any:
            encoded = msgspec.msgpack.encode(answer)
            update = "UPDATE copied SET answer = ? WHERE key = ?"
            self._database.change(update, (encoded, answer.key))

    def find(self, key: str) -> AnswerRow:
        (encoded,) = self._database.find("SELECT answer FROM copied WHERE key = ?", (key,))
        if encoded is None:
            raise ExportError(f"no request {key!r} comes before a row that copies its answer")
        return msgspec.msgpack.decode(encoded, type=AnswerRow)
