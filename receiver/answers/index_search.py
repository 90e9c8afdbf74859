"""Finds rows in the stored index of a batch; only rows that may be wanted are decoded."""

import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from receiver.answers.index_rows import StoredRow, read_row
from receiver.answers.packed_lines import (
    UNLIMITED,
    SearchLimitError,
    SearchLimits,
    read_line_blocks,
)
from receiver.errors import StorageError
from receiver.outputs.outcomes import ERROR_FILE, Outcome
from receiver.outputs.paths import index_name
from receiver.storage import Storage

KEY_MEMBER = b'"key":'
_find_lines = re.compile(rb"[^\n]+").finditer
# The lines of a block that may be wanted.
Select = Callable[[bytes], Iterator[bytes]]


@dataclass(frozen=True)
class IndexPage:
    """Some rows of an index, in its order."""

    rows: list[StoredRow]
    has_more: bool  # rows that are wanted too
    is_cut: bool = False  # the search ended at its limits, so that there may be more


@dataclass(frozen=True)
class Neighbours:
    """The rows right before and after a line, of those that are wanted."""

    before: StoredRow | None
    after: StoredRow | None


class IndexSearch:
    """Searches the index of one batch, each time from its start.

    Every call raises StorageError where the index can't be read, and SearchLimitError where it
    would have to look further than `limits` allow.
    """

    def __init__(self, storage: Storage, batch: str, limits: SearchLimits = UNLIMITED) -> None:
        self._storage, self._batch, self._limits = storage, batch, limits

    def find_key(self, key: str) -> StoredRow | None:
        """The row for a key: of its answer, else of the line that best says why not."""
        best: StoredRow | None = None
        for row in self._rows(_select_key(key)):
            if row.outcome not in ERROR_FILE:
                return row
            if best is None or _rank(row) > _rank(best):
                best = row
        return best

    def find_line(self, line: int) -> StoredRow | None:
        """The row of one line of the source."""
        found = next(self._rows(_select_all, line - 1), None)
        return found if found is not None and found.line == line else None

    def read_page(self, after: int, outcomes: Collection[str], size: int) -> IndexPage:
        """The next rows after a line of the source, 0 for the first; no outcomes are all."""
        rows = list[StoredRow]()
        try:
            for row in self._rows(_select_outcomes(outcomes), after):
                if len(rows) == size:
                    return IndexPage(rows, has_more=True)
                rows.append(row)
        except SearchLimitError:
            return IndexPage(rows, has_more=False, is_cut=True)
        return IndexPage(rows, has_more=False)

    def find_neighbours(self, line: int, outcomes: Collection[str]) -> Neighbours:
        """The rows around a line of the source; no outcomes are all."""
        select, before = _select_outcomes(outcomes), b""
        for block in self._blocks():
            if self._read(_last_line(block)).line < line:
                before = _last_of(select, block) or before
                continue
            for found in select(block):
                row = self._read(found)
                if row.line > line:
                    return Neighbours(self._read(before) if before else None, row)
                if row.line < line:
                    before = found
        return Neighbours(self._read(before) if before else None, None)

    def _rows(self, select: Select, after: int = 0) -> Iterator[StoredRow]:
        """The selected rows behind a line of the source."""
        for block in self._blocks():
            if self._read(_last_line(block)).line <= after:
                continue
            for found in select(block):
                row = self._read(found)
                if row.line > after:
                    yield row

    def _blocks(self) -> Iterator[bytes]:
        name = index_name(self._batch)
        blocks = read_line_blocks(self._storage, name, self._limits)
        if blocks is None:
            raise StorageError(f"{name} is not there: is the batch stored?", retryable=False)
        return blocks

    def _read(self, line: bytes) -> StoredRow:
        try:
            return read_row(line)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            raise StorageError(
                f"{index_name(self._batch)} can't be read: {error};"
                f" `gemini-batch-receiver verify {self._batch}` names what is off",
                retryable=False,
            ) from error


def _rank(row: StoredRow) -> int:
    return ERROR_FILE.index(Outcome(row.outcome))


def _last_line(block: bytes) -> bytes:
    end = len(block) - block.endswith(b"\n")
    return block[block.rfind(b"\n", 0, end) + 1 : end]


def _last_of(select: Select, block: bytes) -> bytes:
    """Empty where nothing is wanted."""
    if select is _select_all:
        return _last_line(block)
    return next(iter(deque(select(block), maxlen=1)), b"")


def _line_at(block: bytes, position: int) -> bytes:
    end = block.find(b"\n", position)
    return block[block.rfind(b"\n", 0, position) + 1 : end if end >= 0 else len(block)]


def _select_key(key: str) -> Select:
    """Lines with this key; an index has it in UTF-8 or, beside lone surrogates, in ASCII."""
    texts = {json.dumps(key).encode()}
    with suppress(UnicodeEncodeError):
        texts.add(msgspec.json.encode(key))

    def select(block: bytes) -> Iterator[bytes]:
        places = sorted(place for text in texts for place in _find_members(block, text))
        return (_line_at(block, place) for place in places)

    return select


def _find_members(block: bytes, text: bytes) -> Iterator[int]:
    """Where a text is the key of a row: a quote inside a text would have a backslash before it."""
    place = block.find(text)
    while place >= 0:
        if block[max(0, place - len(KEY_MEMBER) - 1) : place].rstrip().endswith(KEY_MEMBER):
            yield place
        place = block.find(text, place + 1)


def _select_outcomes(outcomes: Collection[str]) -> Select:
    if not outcomes:
        return _select_all
    words = b"|".join(re.escape(outcome.encode()) for outcome in sorted(outcomes))
    find = re.compile(rb'"outcome": ?"(?:%b)"' % words).finditer
    return lambda block: (_line_at(block, match.start()) for match in find(block))


def _select_all(block: bytes) -> Iterator[bytes]:
    return (match[0] for match in _find_lines(block))
