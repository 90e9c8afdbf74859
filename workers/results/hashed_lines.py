"""Lines with their sha256, which a process of its own computes where the source is large.

Hashing and the check of UTF-8 are a third of the work on a line. A thread can't take them over: it
would wait for the interpreter's lock after every line.

The source is copied to two slots of shared memory, in whole lines. While the lines of one slot are
worked on here, the process hashes those of the other. What does not fit a slot goes through
`LineSplitter` alone, and so does everything where there is no such process, or none any more: these
lines come without digests. In every case all lines come once, and in the source's order.
"""

import logging
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from mmap import mmap
from pathlib import Path

from workers.results.hasher import DIGEST_BYTES, REPLY, REQUEST
from workers.results.lines import Block, LineSplitter, Piece

SLOT_BYTES = 256 * 1024
INLINE_BYTES = 8 * 1024 * 1024  # a smaller source is done before the process is of use
PATIENCE_S = 30  # for an answer, which takes a millisecond
_SLOTS = 2
_HEX_DIGITS = 2 * DIGEST_BYTES
_ROOT = Path(__file__).parents[2]
_SERVE = """
import sys
sys.path.insert(0, sys.argv[1])
from workers.results.hasher import serve
serve(int(sys.argv[2]), 0, 1)
"""
log = logging.getLogger(__name__)


class _Hasher:
    """The process, and the memory that it shares with this one. Raises OSError at its start."""

    def __init__(self) -> None:
        descriptor = os.memfd_create("lines")
        try:
            os.ftruncate(descriptor, _SLOTS * SLOT_BYTES)
            self.memory = mmap(descriptor, _SLOTS * SLOT_BYTES)
            self._process = subprocess.Popen(
                # Isolated and without site-packages: that halves the time of its start.
                [sys.executable, "-I", "-S", "-c", _SERVE, str(_ROOT), str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(descriptor,),
            )
        finally:
            os.close(descriptor)
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: pipes
        assert self._process.stdout is not None  # noqa: S101
        self._requests, self._replies = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._replies, select.POLLIN)
        self._is_lost = False

    def ask(self, start: int, end: int) -> None:
        """Have the lines in this part of the memory hashed."""
        with suppress(BrokenPipeError):  # there will be no answer
            os.write(self._requests, REQUEST.pack(start, end))

    def answer(self) -> tuple[list[str], bool] | None:
        """Digests in hex and whether all is UTF-8, of the oldest lines asked for.

        None from the time on when the process is gone or stuck.
        """
        head = self._read(REPLY.size)
        if head is None:
            return None
        count, valid_utf8 = REPLY.unpack(head)
        digests = self._read(count * DIGEST_BYTES)
        if digests is None:
            return None
        text = digests.hex()
        starts = range(0, len(text), _HEX_DIGITS)
        return [text[start : start + _HEX_DIGITS] for start in starts], valid_utf8

    def _read(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size and not self._is_lost:
            part = b""
            if self._poll.poll(1000 * PATIENCE_S):
                part = os.read(self._replies, size - len(data))
            if not part:
                self._is_lost = True
                log.warning("batch.hasher_lost")
            data += part
        return bytes(data) if len(data) == size else None

    def close(self) -> None:
        self._process.kill()  # it has nothing to lose
        with self._process:
            self.memory.close()


def _start_hasher() -> _Hasher | None:
    """None where it can't be, or where it would only take turns with this process."""
    if not hasattr(os, "memfd_create") or len(os.sched_getaffinity(0)) == 1:
        return None
    with suppress(OSError):
        return _Hasher()
    return None


class _SlotSplitter:
    """Feeds `splitter` with what needs it, and has the lines of everything else hashed."""

    def __init__(self, hasher: _Hasher, splitter: LineSplitter) -> None:
        self._hasher, self._memory, self._splitter = hasher, hasher.memory, splitter
        self._asked: deque[tuple[int, int]] = deque()  # whole lines under way: where they are
        self._slot = self._filled = 0  # where the slot that is filled begins, and its bytes end

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        view, position = memoryview(chunk), 0
        while position < len(chunk):
            if self._splitter.has_part:  # of a line that no slot holds
                end = chunk.find(b"\n", position) + 1 or len(chunk)
                yield from self._splitter.feed(chunk[position:end])
            else:
                room = self._slot + SLOT_BYTES - self._filled
                end = min(position + room, len(chunk))
                filled = self._filled + end - position
                self._memory[self._filled : filled] = view[position:end]
                self._filled = filled
                if end == position + room:
                    yield from self._close_slot()
            position = end

    def _close_slot(self) -> Iterator[Piece]:
        """Have the whole lines of a full slot hashed, and go on in the other one."""
        end = self._memory.rfind(b"\n", self._slot, self._filled) + 1
        if not end:  # a long line
            yield from self._flush()
            return
        self._hasher.ask(self._slot, end)
        self._asked.append((self._slot, end))
        if len(self._asked) == _SLOTS:
            yield from self._take_answer()

        part = self._memory[end : self._filled]
        self._slot = (self._slot + SLOT_BYTES) % len(self._memory)
        self._filled = self._slot + len(part)
        self._memory[self._slot : self._filled] = part

    def _take_answer(self) -> Iterator[Piece]:
        """The lines of the slot that was asked for first."""
        start, end = self._asked.popleft()
        block = self._memory[start:end]
        answer = self._hasher.answer()
        if answer is None or not answer[0]:
            yield from self._splitter.feed(block)
        else:
            digests, valid_utf8 = answer
            lines = block.split(b"\n")
            del lines[-1]  # behind the last newline
            yield Block(lines, valid_utf8, digests)

    def _flush(self) -> Iterator[Piece]:
        """Everything so far; the rest of the slot goes to the splitter."""
        while self._asked:
            yield from self._take_answer()
        block, self._filled = self._memory[self._slot : self._filled], self._slot
        yield from self._splitter.feed(block)

    def finish(self) -> Iterator[Piece]:
        yield from self._flush()
        yield from self._splitter.finish()


class HashedLines:
    """Splits one file as `LineSplitter` does: call `split` once, and `close` in the end."""

    def __init__(
        self, *, oversize_sink: Callable[[bytes], object], inline_bytes: int = INLINE_BYTES
    ) -> None:
        """The process starts after `inline_bytes`; `oversize_sink` is that of `LineSplitter`."""
        self.bytes_seen = 0
        self._splitter = LineSplitter(oversize_sink=oversize_sink)
        self._inline_bytes = inline_bytes
        self._hasher: _Hasher | None = None

    @property
    def unterminated(self) -> bool:
        """Whether the last line has no newline; final when `split` ends."""
        return self._splitter.unterminated

    def close(self) -> None:
        """End the process."""
        if self._hasher is not None:
            self._hasher.close()

    def split(self, chunks: Iterable[bytes]) -> Iterator[Piece]:
        """Every line once, the last one also without its newline."""
        used: LineSplitter | _SlotSplitter = self._splitter
        may_start = True
        for chunk in chunks:
            self.bytes_seen += len(chunk)
            yield from used.feed(chunk)
            if may_start and self.bytes_seen >= self._inline_bytes:
                may_start, self._hasher = False, _start_hasher()
                if self._hasher is not None:
                    used = _SlotSplitter(self._hasher, self._splitter)
        yield from used.finish()
