"""Lines with digests from another process: the same lines as without it, whatever becomes of it."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from tests.waiting import eventually
from workers.results import hashed_lines
from workers.results.hashed_lines import SLOT_BYTES, HashedLines
from workers.results.hasher import MAX_LINES
from workers.results.lines import (
    MAX_LINE_BYTES,
    BlankLines,
    Block,
    LineSplitter,
    OversizeLine,
    Piece,
)
from workers.results.utf8 import is_utf8

LINES = [b'{"key":"k%d","text":"%s"}' % (n, "ä".encode() * (n % 1500)) for n in range(2000)]
SOURCE = b"\n".join(LINES) + b"\n"
LONG = b"x" * (3 * SLOT_BYTES)
SOURCES = {
    "plain": SOURCE,
    "no newline at the end": SOURCE[:-1],
    "cut in a character": SOURCE[: SOURCE.rindex("ä".encode()) + 1],
    "empty": b"",
    "one newline": b"\n",
    "long lines": b"\n".join([SOURCE, LONG, SOURCE, LONG, LONG]),
    "lines of about a slot": b"\n".join(b"y" * (SLOT_BYTES + by) for by in range(-4, 5)) + b"\n",
    "broken UTF-8": SOURCE + b"\n".join(line[:-40] + b"\xc3" + line[-40:] for line in LINES),
    "blank lines": SOURCE + b"\n" * (3 * MAX_LINES) + SOURCE + b" \n\t\n" * 4 * SLOT_BYTES,
    "oversize": SOURCE + b"z" * (MAX_LINE_BYTES + 1) + b"\n" + SOURCE,
}


def chunks_of(data: bytes, seed: int) -> Iterator[bytes]:
    chance, position = Random(seed), 0
    while position < len(data):
        size = chance.choice((1, 7, 5000, 65536, 65536, 65536, 700_000)) if seed else 65536
        yield data[position : position + size]
        position += size


def flat(pieces: Iterator[Piece]) -> Iterator[bytes | int]:
    """Each line, or the size of a long one; digests and the word on UTF-8 are checked."""
    for piece in pieces:
        match piece:
            case Block(lines, valid_utf8, digests):
                assert not valid_utf8 or all(map(is_utf8, lines))
                if digests is not None:
                    assert digests == [sha256(line).hexdigest() for line in lines]
                yield from lines
            case BlankLines(count):
                yield from [b""] * count
            case OversizeLine(size):
                yield size


def stripped(lines: Iterator[bytes | int]) -> list[bytes | int]:
    """White space may be counted or given."""
    return [line if isinstance(line, int) or line.strip() else b"" for line in lines]


@contextmanager
def hashed(sink: io.BytesIO) -> Iterator[HashedLines]:
    """With the process from the first chunk on."""
    with closing(HashedLines(oversize_sink=sink.write, inline_bytes=1)) as lines:
        yield lines


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def hashers(pid: int) -> list[int]:
    """The processes that hash lines for this one."""
    return [one for one in children(pid) if b"hasher" in Path(f"/proc/{one}/cmdline").read_bytes()]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", SOURCES)
def test_lines_are_those_of_the_splitter(name: str, seed: int) -> None:
    data, ours, theirs = SOURCES[name], io.BytesIO(), io.BytesIO()
    splitter = LineSplitter(oversize_sink=theirs.write)
    expected = stripped(flat(splitter.split(chunks_of(data, 0))))
    with hashed(ours) as lines:
        assert stripped(flat(lines.split(chunks_of(data, seed)))) == expected
        assert (lines.bytes_seen, lines.unterminated) == (len(data), splitter.unterminated)
    assert ours.getvalue() == theirs.getvalue()


def test_most_lines_come_with_digests() -> None:
    with hashed(io.BytesIO()) as lines:
        blocks = [one for one in lines.split(chunks_of(SOURCE, 0)) if isinstance(one, Block)]
    assert sum(len(block.digests or ()) for block in blocks) > 0.75 * len(LINES)


def test_small_source_starts_no_process() -> None:
    with closing(HashedLines(oversize_sink=len)) as lines:
        for _ in lines.split(chunks_of(SOURCE, 0)):
            assert hashers(os.getpid()) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("after", [1, 5])
def test_lines_go_on_without_the_process(
    how: signal.Signals,
    after: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(hashed_lines, "PATIENCE_S", 0.2)
    found: list[bytes | int] = []
    with hashed(io.BytesIO()) as lines:
        for number, block in enumerate(lines.split(chunks_of(SOURCE, 0))):
            found += flat(iter([block]))
            if number == after:
                (pid,) = eventually(lambda: hashers(os.getpid()))
                os.kill(pid, how)
    assert found == LINES
    assert [record.message for record in caplog.records] == ["batch.hasher_lost"]


def test_process_ends_with_the_lines() -> None:
    with hashed(io.BytesIO()) as lines:
        pieces = lines.split(chunks_of(SOURCE, 0))
        next(pieces)
        next(pieces)
        eventually(lambda: hashers(os.getpid()))
    assert hashers(os.getpid()) == []


FOREVER = """
import sys
from workers.results.hashed_lines import HashedLines

def chunks():
    while True:
        yield b"a line\\n" * 9000

lines = HashedLines(oversize_sink=len, inline_bytes=1)
for number, block in enumerate(lines.split(chunks())):
    if number == 20:
        print("ready", flush=True)
"""


def test_process_ends_with_a_killed_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", FOREVER], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        (pid,) = eventually(lambda: hashers(parent.pid))
        parent.kill()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the end of the process")


ALONE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from pathlib import Path
from workers.results.hashed_lines import HashedLines

lines = HashedLines(oversize_sink=len, inline_bytes=1)
found = [block.digests for block in lines.split([b"a line\\n" * 9000] * 20)]
print(len(found), set(found), repr(Path("/proc/self/task", str(os.getpid()), "children").read_text()))
"""


def test_one_core_has_no_use_for_a_process() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "20 {None} ''"
