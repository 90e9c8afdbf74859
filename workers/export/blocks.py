"""Rows that are read and written together: as many as memory has room for."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from receiver.errors import ExportError
from workers.export.joined_rows import JoinedRow

BLOCK_ROWS = 4096
BLOCK_BYTES = 8 * 1024 * 1024  # of lines and cells; a block has one row at least
PairedRow = tuple[JoinedRow, list[Any]]  # with the cells of the input


def pair_rows(joined: Iterator[JoinedRow], cells: Iterator[list[Any]]) -> Iterator[PairedRow]:
    """Every row with its cells. Raises ExportError where one of both has more rows."""
    for row, theirs in zip_longest(joined, cells):
        if theirs is None or row is None:
            number = "fewer" if theirs is None else "more"
            raise ExportError(f"the table has {number} rows than the submission was made of")
        yield row, theirs


@contextmanager
def without_collections() -> Iterator[None]:
    """No garbage collection by itself: it looks at all rows of a block again and again, for a
    third of the time of an export. Collect by hand between blocks.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def split_into_blocks(pairs: Iterator[PairedRow]) -> Iterator[list[PairedRow]]:
    """The same rows, in blocks of bounded size."""
    block, size = list[PairedRow](), 0
    for pair in pairs:
        row, cells = pair
        block.append(pair)
        size += row.answer.length or 0
        for cell in cells:
            if isinstance(cell, str):
                size += len(cell)
        if len(block) >= BLOCK_ROWS or size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block
