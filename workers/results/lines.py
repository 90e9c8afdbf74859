r"""Cuts chunks of a result file into lines, at b"\n" only, in bounded memory.

`bytes.split` makes the lines, so that Python code runs once per block, and so does the check of
UTF-8. A line stays as the service wrote it, with a trailing b"\r": stored objects repeat it byte
for byte.
"""

import re
from codecs import utf_8_decode
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from workers.results.utf8 import decodable_bytes

# malloc maps fresh pages for anything over 128 KiB, and touching those halves the speed.
BLOCK_BYTES = 64 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024
CROWDED_LINES = BLOCK_BYTES // 16  # more than any block of results has
_find_blank_runs = re.compile(rb"(?m:^)\s{31,}\n").finditer  # whole lines of white space


class Block(NamedTuple):
    """Whole lines, in the source's order."""

    lines: list[bytes]  # without their newline
    valid_utf8: bool  # False: at least one line may be broken, so each one needs its own check
    digests: list[str] | None = None  # sha256 of every line in hex, where they are known already


class BlankLines(NamedTuple):
    """Many lines of white space in a row, counted instead of given one by one."""

    lines: int


class OversizeLine(NamedTuple):
    """Marks a line that was too long for memory, once its bytes have gone to the sink."""

    size_bytes: int  # without the newline


Piece = Block | BlankLines | OversizeLine


def _count_blank(lines: list[bytes], *, valid_utf8: bool) -> Iterator[Piece]:
    """A block of very short lines, its runs of white space counted together."""
    if len(lines[0]) > BLOCK_BYTES:  # it began in blocks before
        yield Block([lines.pop(0)], valid_utf8)
    joined = b"\n".join(lines) + b"\n"
    position = 0
    for run in _find_blank_runs(joined):
        start, end = run.span()
        if position < start:
            yield Block(joined[position : start - 1].split(b"\n"), valid_utf8)
        yield BlankLines(joined.count(b"\n", start, end))
        position = end
    if position < len(joined):
        yield Block(joined[position:-1].split(b"\n"), valid_utf8)


class LineSplitter:
    """Splits one file: call `split` once. The attributes are final when its iterator ends."""

    def __init__(
        self, *, oversize_sink: Callable[[bytes], object], max_line_bytes: int = MAX_LINE_BYTES
    ) -> None:
        """A line over `max_line_bytes` goes to `oversize_sink` in pieces, such as to `file.write`.

        A limit under `BLOCK_BYTES` means `BLOCK_BYTES`: a line within one block is never too long.
        """
        self.bytes_seen = 0
        self.unterminated = False  # the last line has no newline, as a cut download leaves it
        self._sink = oversize_sink
        self._max_line_bytes = max(max_line_bytes, BLOCK_BYTES)
        self._carry = bytearray()  # the unfinished line, growing in place
        self._carry_valid = True
        self._spilled_bytes = 0  # of the unfinished line, once it is too long
        self._partial_character = b""

    @property
    def has_part(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._carry or self._spilled_bytes)

    def split(self, chunks: Iterable[bytes]) -> Iterator[Piece]:
        """Every line once, the last one also without its newline."""
        for chunk in chunks:
            yield from self.feed(chunk)
        yield from self.finish()

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """The lines that end in the next chunk."""
        if len(chunk) <= BLOCK_BYTES:
            yield from self._split_block(chunk)
            return
        for start in range(0, len(chunk), BLOCK_BYTES):
            yield from self._split_block(chunk[start : start + BLOCK_BYTES])

    def finish(self) -> Iterator[Piece]:
        """The last line where it has no newline."""
        self.unterminated = self.has_part
        if self._spilled_bytes:
            yield self._take_oversize()
        elif self._carry:
            yield Block([self._take_line()], self._carry_valid and not self._partial_character)

    def _split_block(self, block: bytes) -> Iterator[Piece]:
        self.bytes_seen += len(block)
        if (
            len(block) > CROWDED_LINES
            and block.isspace()
            and b"\n" in block
            and self._is_between_lines()
        ):
            yield BlankLines(block.count(b"\n"))
            self._carry[:] = block[block.rfind(b"\n") + 1 :]
            return
        valid = self._check(block)
        lines = block.split(b"\n")
        tail = lines.pop()
        if not lines:
            self._carry_valid = self._carry_valid and valid
        else:
            if self.has_part:
                self._hold(lines[0])
                if self._spilled_bytes:
                    del lines[0]
                    yield self._take_oversize()
                else:
                    lines[0] = self._take_line()
            valid_lines = valid and self._carry_valid
            if len(lines) > CROWDED_LINES:
                yield from _count_blank(lines, valid_utf8=valid_lines)
            elif lines:
                yield Block(lines, valid_lines)
            self._carry_valid = valid
        if tail:
            self._hold(tail)

    def _is_between_lines(self) -> bool:
        """Whether the unfinished line has only a little white space so far."""
        few = (
            len(self._carry) < CROWDED_LINES
            and not self._spilled_bytes
            and not self._partial_character
        )
        return few and not self._carry.strip()

    def _check(self, block: bytes) -> bool:
        """Check a block, with the character that the block before left unfinished."""
        if not self._partial_character and block.isascii():
            return True
        data = self._partial_character + block
        try:
            used = decodable_bytes(data, final=False)
        except UnicodeDecodeError:
            tail = data[data.rfind(b"\n") + 1 :]
            self._partial_character = tail[utf_8_decode(tail, "replace", False)[1] :]
            return False
        self._partial_character = data[used:]
        return True

    def _hold(self, part: bytes) -> None:
        """Add to the unfinished line; past the limit, its bytes go to the sink instead."""
        if not self._spilled_bytes and len(self._carry) + len(part) <= self._max_line_bytes:
            self._carry += part
            return
        self._spilled_bytes += len(self._carry) + len(part)
        for start in range(0, len(self._carry), BLOCK_BYTES):
            self._sink(bytes(self._carry[start : start + BLOCK_BYTES]))
        self._carry.clear()
        self._sink(part)

    def _take_line(self) -> bytes:
        line = bytes(self._carry)
        self._carry.clear()
        return line

    def _take_oversize(self) -> OversizeLine:
        marker = OversizeLine(self._spilled_bytes)
        self._spilled_bytes = 0
        return marker
