"""The lines that rows of `_errors.jsonl` keep, read back in pieces: one of 60 MB takes up to 180 as JSON."""

import binascii
import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from typing import IO

import msgspec

from receiver.tolerant_json import tolerant_reader

LARGE_ROW_BYTES = 1024 * 1024  # below, a row is read at once
PIECE_BYTES = 1024 * 1024  # whole groups of four characters of base64
# What stands before the line in a row as it is written; inside a text, quotes are escaped.
_AS_TEXT, _AS_BASE64 = b',"raw":"', b',"raw":null,"raw_base64":"'
_TEXT_END, _BASE64_END = b'","raw_base64":null}', b'"}'
# Escapes as a whole, and never half of a character that takes two of them.
_whole_escapes = re.compile(
    rb'(?:[^"\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\[^u])*+',
    re.DOTALL,
).match
_MOST_ESCAPE_BYTES = len(r"\ud83d\ude00")


class _ErrorRow(msgspec.Struct, frozen=True):
    raw: str | None
    raw_base64: str | None = None


_read_row = tolerant_reader(_ErrorRow)


def is_as_told(file: IO[bytes], offset: int, length: int, sha256: str) -> bool:
    """Whether the bytes of a row are those of the index."""
    digest = hashlib.sha256()
    file.seek(offset)
    while length > 0 and (piece := file.read(min(length, PIECE_BYTES))):
        digest.update(piece)
        length -= len(piece)
    return length == 0 and digest.hexdigest() == sha256


def read_line(file: IO[bytes], offset: int, length: int) -> Iterator[bytes]:
    """The line that a row keeps, without its newline. `is_as_told` comes first. Raises ValueError."""
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
        if size < min(len(piece), PIECE_BYTES - _MOST_ESCAPE_BYTES):
            raise ValueError(f"its text breaks off at byte {position + size}")
        text: str = json.loads(b'"%b"' % piece[:size])
        yield text.encode()
        position += size
    _expect(file, end, _TEXT_END)


def _expect(file: IO[bytes], position: int, ending: bytes) -> None:
    file.seek(position)
    if file.read(len(ending)) != ending:
        raise ValueError("it does not end as a row does")
