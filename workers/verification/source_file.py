"""Puts the source of a batch together again from its stored lines, in a scratch file.

Lines that rows of `_errors.jsonl` keep are read in pieces: one of 60 MB takes up to 180 as JSON.
"""

import binascii
import hashlib
import json
import os
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Self

import msgspec

from receiver.answers.index_rows import StoredRow
from receiver.outputs.manifest import Manifest
from receiver.outputs.paths import errors_name, oversize_name
from receiver.storage import Storage
from receiver.tolerant_json import tolerant_reader
from workers.verification.findings import Discrepancy
from workers.verification.rules import NOWHERE

NEWLINE_BATCH_SIZE = 64 * 1024
CHUNK_BYTES = 256 * 1024
LARGE_ROW_BYTES = 1024 * 1024  # a smaller row is read at once
PIECE_BYTES = 1024 * 1024  # whole groups of four characters of base64
# What stands before the line in a row as it is written; inside a text, quotes are escaped.
_AS_TEXT, _AS_BASE64 = b',"raw":"', b',"raw":null,"raw_base64":"'
_TEXT_END, _BASE64_END = b'","raw_base64":null}', b'"}'
# Escapes as a whole, and never half of a character that takes two of them.
_whole_escapes = re.compile(
    rb'(?:[^"\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\[^u])*+',
    re.DOTALL,
).match
_MAX_ESCAPE_BYTES = len(r"\ud83d\ude00")


class _SpoiltError(Exception):
    """The bytes are not those of the index, which is found where all objects are read."""


class SourceFile:
    """A context manager: takes the rows of an index in order, then their lines in any order.

    Lines of white space are not stored: empty ones replace them.
    """

    def __init__(self, storage: Storage, manifest: Manifest, scratch: Path) -> None:
        self.path = scratch / "source"
        self.is_whole = True  # until a line has no place, or is not there
        self._storage, self._source = storage, manifest.source
        self._errors_name = errors_name(manifest.batch)
        self._oversize = {record.name for record in manifest.oversize}
        self._batch_id = manifest.batch
        self._size = self._last = self._blank = 0
        errors = scratch / "error-rows"
        self._errors = (
            errors.open("rb") if storage.read_to_file(self._errors_name, errors) else None
        )
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        if self._errors is not None:
            self._errors.close()

    def place(self, row: StoredRow) -> tuple[int, Discrepancy | None]:
        """Where the row's line begins, and what is wrong with it.

        NOWHERE means that nothing of the line is left to write.
        """
        if self.is_whole and row.line != self._last + 1:
            self._fill_blank(row.line - 1)
        if not self.is_whole:
            return NOWHERE, None
        at = self._size
        if row.object != self._errors_name:
            self._grow(row.length)
            return (at, None) if self.is_whole else (NOWHERE, None)
        try:
            if oversize_name(self._batch_id, row.line) in self._oversize:
                self._grow(self._copy_oversize(row.line, at) - 1)
            else:
                self._grow(self._copy_error(row, at) - 1)
        except _SpoiltError:
            self.is_whole = False
        except (ValueError, RecursionError) as error:
            self.is_whole = False
            return NOWHERE, Discrepancy(
                self._errors_name, row.line, f"its row does not hold the line: {error}"
            )
        return NOWHERE, None

    def write(self, at: int, parts: "Sequence[bytes | memoryview]") -> None:
        """Write bytes of a line at their place; from any thread."""
        if os.pwritev(self._descriptor, parts, at) != sum(map(len, parts)):
            raise OSError("the scratch folder took only a part of a line")

    def finish(self) -> str | None:
        """Call it after all rows. Returns what is wrong with the source's size, if anything."""
        said = self._source.bytes
        if self.is_whole:
            self._fill_blank(self._source.lines)
        if not self.is_whole:
            return f"it says {said} bytes of the source, which are not those of its lines"
        size = self._size
        if size == said + 1:  # its last line came without a newline
            size = said
        os.ftruncate(self._descriptor, size)
        if size == said or (self._source.blank and size < said):
            return None
        return f"it says {said} bytes of the source, its lines make {self._size}"

    def chunks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def _grow(self, length: int) -> None:
        self._size += length + 1
        self._last += 1
        self.is_whole = self.is_whole and self._size <= self._source.bytes + 1

    def _fill_blank(self, last: int) -> None:
        """Lines up to this one have no row: they are blank, if the manifest counts as many."""
        count = last - self._last
        self._blank += count
        if count < 0 or self._blank > self._source.blank:
            self.is_whole = False
            return
        for start in range(0, count, NEWLINE_BATCH_SIZE):
            self.write(self._size + start, [b"\n" * min(count - start, NEWLINE_BATCH_SIZE)])
        self._size += count
        self._last = last

    def _copy_error(self, row: StoredRow, at: int) -> int:
        """Copy a line that `_errors.jsonl` keeps, with its newline. Returns its size in bytes."""
        if self._errors is None or not has_sha256(self._errors, row.offset, row.length, row.sha256):
            raise _SpoiltError
        size = 0
        for piece in chain(read_line(self._errors, row.offset, row.length), [b"\n"]):
            self.write(at + size, [piece])
            size += len(piece)
        return size

    def _copy_oversize(self, line: int, at: int) -> int:
        """Copy a line that was too long, with its newline. Returns its size in bytes."""
        size = 0
        for chunk in self._storage.read_chunks(oversize_name(self._batch_id, line)) or ():
            self.write(at + size, [chunk])
            size += len(chunk)
        return size


class _ErrorRow(msgspec.Struct, frozen=True):
    raw: str | None
    raw_base64: str | None = None


_read_row = tolerant_reader(_ErrorRow)


def has_sha256(file: IO[bytes], offset: int, length: int, sha256: str) -> bool:
    """Whether the bytes of a row are those of the index."""
    digest = hashlib.sha256()
    file.seek(offset)
    while length > 0 and (piece := file.read(min(length, PIECE_BYTES))):
        digest.update(piece)
        length -= len(piece)
    return length == 0 and digest.hexdigest() == sha256


def read_line(file: IO[bytes], offset: int, length: int) -> Iterator[bytes]:
    """The line that a row keeps, without its newline. Check the sha256 first. Raises ValueError."""
    file.seek(offset)
    head = file.read(min(length, LARGE_ROW_BYTES))
    end = offset + length
    if length > LARGE_ROW_BYTES and (start := head.find(_AS_BASE64)) >= 0:
        yield from _read_base64(file, offset + start + len(_AS_BASE64), end - len(_BASE64_END))
    elif length > LARGE_ROW_BYTES and (start := head.find(_AS_TEXT)) >= 0:
        yield from _read_text(file, offset + start + len(_AS_TEXT), end - len(_TEXT_END))
    else:
        kept = _read_row(head + file.read(length - len(head)))
        yield (
            b64decode(kept.raw_base64 or "", validate=True)
            if kept.raw is None
            else kept.raw.encode()
        )


def _read_base64(file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    for position in range(start, end, PIECE_BYTES):
        file.seek(position)
        yield binascii.a2b_base64(file.read(min(PIECE_BYTES, end - position)), strict_mode=True)
    _expect(file, end, _BASE64_END)


def _read_text(file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    position = start
    while position < end:
        file.seek(position)
        piece = file.read(min(PIECE_BYTES, end - position))
        whole = _whole_escapes(piece)
        size = 0 if whole is None else whole.end()
        if size < min(len(piece), PIECE_BYTES - _MAX_ESCAPE_BYTES):
            raise ValueError(f"its text breaks off at byte {position + size}")
        text: str = json.loads(b'"%b"' % piece[:size])
        yield text.encode()
        position += size
    _expect(file, end, _TEXT_END)


def _expect(file: IO[bytes], position: int, ending: bytes) -> None:
    file.seek(position)
    if file.read(len(ending)) != ending:
        raise ValueError("it does not end as a row does")
