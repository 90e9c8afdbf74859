"""Redis' protocol, versions 2 and 3: one value at a time, as the bytes that came."""

import asyncio
from collections.abc import Iterable
from typing import Any

END = b"\r\n"
BULK, FLAT, PAIRS = b"$=!", b"*~>", b"%"


async def read_value(reader: asyncio.StreamReader) -> bytes:
    """One whole value. Raises asyncio.IncompleteReadError at the end of the stream."""
    line = await reader.readuntil(END)
    kind = line[:1]
    if kind in BULK:
        size = int(line[1:])
        return line if size < 0 else line + await reader.readexactly(size + len(END))
    if kind == b"|":  # an attribute, and the value that it belongs to
        return line + await _read_values(reader, 2 * int(line[1:]) + 1)
    if kind in FLAT or kind in PAIRS:
        count = int(line[1:]) * (2 if kind in PAIRS else 1)
        return line + await _read_values(reader, count)
    return line


async def _read_values(reader: asyncio.StreamReader, count: int) -> bytes:
    return b"".join([await read_value(reader) for _ in range(max(0, count))])


def parse(data: bytes, start: int = 0) -> tuple[Any, int]:
    """A value that a command or a script can give, and where it ends.

    Texts are bytes, errors ValueError objects.
    """
    end = data.index(END, start)
    kind, rest, after = data[start : start + 1], data[start + 1 : end], end + len(END)
    if kind == b"$":
        size = int(rest)
        return (None, after) if size < 0 else (data[after : after + size], after + size + len(END))
    if kind == b":":
        return int(rest), after
    if kind == b"*":
        values: list[Any] = []
        for _ in range(max(0, int(rest))):
            value, after = parse(data, after)
            values.append(value)
        return values if int(rest) >= 0 else None, after
    if kind == b"-":
        return ValueError(rest.decode(errors="replace")), after
    return None if kind == b"_" else rest, after


def encode(words: Iterable[bytes]) -> bytes:
    """A command."""
    listed = list(words)
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in listed]
    return b"*%d\r\n%b" % (len(listed), b"".join(parts))
