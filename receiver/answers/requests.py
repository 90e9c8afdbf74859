"""The request of a key, among those that were sent with a batch."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from receiver.answers.packed_lines import UNLIMITED, SearchLimits, read_line_blocks
from receiver.answers.shapes import find_key
from receiver.storage import Storage
from receiver.tolerant_json import decode_tolerantly


class _Metadata(msgspec.Struct, gc=False):
    key: str | None = None


class _Request(msgspec.Struct, gc=False):
    key: str | None = None
    metadata: _Metadata | None = None


_ESCAPE = b"\\u"
_decode_request = msgspec.json.Decoder(_Request).decode


@dataclass(frozen=True)
class StoredRequest:
    """One line of the requests of a batch."""

    object: str  # that holds it, a gzip of JSON lines, from the storage root
    line: bytes  # without the newline


def read_key(line: bytes, key_member: str = "") -> str | None:
    """The key of an input line, by the rule that holds for results; None when it has none.

    `key_member` is RESULT_KEY.
    """
    if key_member:
        return _read_tolerantly(line, key_member)
    try:
        row = _decode_request(line)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return _read_tolerantly(line)
    key = row.metadata.key if row.key is None and row.metadata is not None else row.key
    return _read_tolerantly(line) if key is None or b'"custom_id"' in line else key


def _read_tolerantly(line: bytes, key_member: str = "") -> str | None:
    try:
        row = decode_tolerantly(line)
    except (ValueError, RecursionError):
        return None
    return find_key(row, key_member) if isinstance(row, dict) else None


def find_request(
    storage: Storage,
    places: Iterable[str],
    key: str,
    key_member: str = "",
    limits: SearchLimits = UNLIMITED,
) -> StoredRequest | None:
    """The first request with a key, in the first of the objects that is there.

    `key_member` is RESULT_KEY. Raises StorageError, and SearchLimitError where it would have to
    look further than the limits allow.
    """
    for place in places:
        blocks = read_line_blocks(storage, place, limits)
        if blocks is not None:
            line = _find_line(blocks, key, key_member)
            return None if line is None else StoredRequest(place, line)
    return None


def _find_line(blocks: Iterable[bytes], key: str, key_member: str) -> bytes | None:
    may_hold = _make_filter(key)
    for block in filter(may_hold, blocks):
        for line in filter(may_hold, block.split(b"\n")):
            if read_key(line, key_member) == key:
                return line
    return None


def _make_filter(key: str) -> Callable[[bytes], bool]:
    """Whether JSON may hold a key, told without decoding it.

    Any character may be written as its number, and a slash after a backslash.
    """
    if "/" in key:
        return bool
    try:
        text = msgspec.json.encode(key)[1:-1]
    except UnicodeEncodeError:  # a lone surrogate
        return lambda data: _ESCAPE in data
    return lambda data: text in data or _ESCAPE in data
