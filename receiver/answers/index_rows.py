"""A row of the index of a batch, as it is written and as it is read. Pure."""

import json
from typing import Annotated

import msgspec

from receiver.tolerant_json import tolerant_reader

_Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


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
    """One line of JSON per row; in ASCII where a key holds what UTF-8 can't."""
    try:
        return _encode_lines(rows)
    except UnicodeEncodeError:
        return b"".join(
            json.dumps(msgspec.structs.asdict(row), separators=(",", ":")).encode() + b"\n"
            for row in rows
        )


class StoredRow(msgspec.Struct, gc=False, frozen=True):
    """A row of the index, as it was read."""

    line: _Size
    key: str | None
    outcome: str
    object: str
    offset: _Size
    length: _Size
    sha256: str


read_row = tolerant_reader(StoredRow)
