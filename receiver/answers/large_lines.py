"""Bounds what a large line may hold, so that reading it takes bounded memory.

A line of 60 MB may be one image, or twenty million empty lists, which take a gigabyte as Python
objects. Its values are counted before they are decoded, and the tolerant decoder gets its long
texts shortened.
"""

import re

LARGE_LINE_BYTES = 1024 * 1024  # smaller lines are harmless
MAX_VALUES = 500_000  # at most some 130 bytes each
MAX_TOKENS = 3 * MAX_VALUES  # with texts, of which JSON has at most two per value
MAX_SHORT_BYTES = 8 * 1024 * 1024  # of a line whose long texts were shortened
KEPT_BYTES = 64 * 1024  # of a text
MAX_WIDE_BYTES = 8 * 1024 * 1024  # of a text outside ASCII, which may take four times as much

_find_tokens = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{,]', re.DOTALL).finditer
# Whole characters of a text, as far as they are well-formed.
_whole_characters = re.compile(
    rb'"(?:[^"\\\x80-\xff]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}'
    rb"|\\u[0-9a-fA-F]{4}|\\[^u])*+",
    re.DOTALL,
).match
_ESCAPE = rb"\u"
_QUOTE = ord('"')


def find_excess(line: bytes) -> str | None:
    """Why a line can't be read in bounded memory; None when it can."""
    if (
        len(line) <= LARGE_LINE_BYTES
        or sum(map(line.count, (b"[", b"{", b",", b'"'))) <= MAX_VALUES
    ):
        return None
    values = 0
    for number, token in enumerate(_find_tokens(line)):
        values += line[token.start()] != _QUOTE
        if values > MAX_VALUES or number > MAX_TOKENS:
            return f"a line of {len(line)} bytes with over {MAX_VALUES} values is not read"
    return None


def find_wide_text(line: bytes) -> str | None:
    """Why the texts of a line can't be decoded in bounded memory; None when they can.

    Call `find_excess` first.
    """
    if len(line) <= MAX_WIDE_BYTES or (line.isascii() and _ESCAPE not in line):
        return None
    for token in _find_tokens(line):
        start, end = token.span()
        if end - start > MAX_WIDE_BYTES and _is_wide(line, start, end):
            return f"a text of {end - start} bytes that is not ASCII alone is not decoded"
    return None


def _is_wide(line: bytes, start: int, end: int) -> bool:
    pieces = range(start, end, LARGE_LINE_BYTES)
    return line.find(_ESCAPE, start, end) >= 0 or not all(
        line[piece : min(piece + LARGE_LINE_BYTES, end)].isascii() for piece in pieces
    )


def shorten(line: bytes) -> bytes | None:
    """A large line with its long texts cut, so that it is decoded quickly; None if it stays large.

    What is no JSON does not become JSON. Call `find_excess` first.
    """
    pieces, kept, size = [], 0, 0
    for token in _find_tokens(line):
        start, end = token.span()
        if end - start <= KEPT_BYTES:
            continue
        head = _whole_characters(line, start, start + KEPT_BYTES)
        cut = start + 1 if head is None else head.end()
        closed = line[end - 1] == _QUOTE and end - 1 > start
        pieces += [line[kept:cut], b'"' if closed else b""]
        size += cut - kept
        kept = end
    if size + len(line) - kept > MAX_SHORT_BYTES:
        return None
    return b"".join([*pieces, line[kept:]])
