import io
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.results.lines import (
    BLOCK_BYTES,
    BlankLines,
    Block,
    LineSplitter,
    OversizeLine,
    Piece,
)
from workers.results.utf8 import is_utf8

MIB = 1024 * 1024


def split(
    chunks: Iterable[bytes], *, max_line_bytes: int = MIB
) -> tuple[list[Piece], LineSplitter, bytes]:
    sink = io.BytesIO()
    splitter = LineSplitter(oversize_sink=sink.write, max_line_bytes=max_line_bytes)
    return list(splitter.split(chunks)), splitter, sink.getvalue()


def lines_of(blocks: Iterable[Piece]) -> list[bytes]:
    found: list[bytes] = []
    for block in blocks:
        if isinstance(block, BlankLines):
            found += [b""] * block.lines
        elif isinstance(block, Block):
            found += block.lines
    return found


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize(
    "separator", ["\u2028", "\u2029", "\x85", "\r", "\x0b", "\x0c", "\x1e", "\x00"]
)
def test_only_newline_cuts_lines(separator: str) -> None:
    line = f'{{"text":"a{separator}b"}}'.encode()
    blocks, _, _ = split([line + b"\n" + line + b"\r\n"])
    assert lines_of(blocks) == [line, line + b"\r"]


@pytest.mark.parametrize(
    ("data", "lines", "unterminated"),
    [
        (b"", [], False),
        (b"\n", [b""], False),
        (b"a\n", [b"a"], False),
        (b"a", [b"a"], True),
        (b"a\nb", [b"a", b"b"], True),
        (b"a\n\n\nb\n", [b"a", b"", b"", b"b"], False),
    ],
)
def test_missing_last_newline_is_told(
    data: bytes, lines: list[bytes], *, unterminated: bool
) -> None:
    blocks, splitter, _ = split([data])
    assert lines_of(blocks) == lines
    assert splitter.unterminated is unterminated


@given(
    data=st.lists(st.one_of(st.binary(max_size=12), st.text(max_size=12).map(str.encode))).map(
        b"\n".join
    ),
    size=st.integers(1, 40),
)
def test_chunk_borders_change_nothing(data: bytes, size: int) -> None:
    blocks, splitter, _ = split(cut(data, size))
    expected = data.split(b"\n")
    assert lines_of(blocks) == (expected[:-1] if not expected[-1] else expected)
    assert splitter.bytes_seen == len(data)
    assert splitter.unterminated is bool(expected[-1])


@given(
    lines=st.lists(st.one_of(st.binary(max_size=6), st.text(max_size=6).map(str.encode))),
    size=st.integers(1, 30),
)
def test_blocks_called_valid_are_valid(lines: list[bytes], size: int) -> None:
    blocks, _, _ = split(cut(b"\n".join(lines), size))
    for block in blocks:
        assert isinstance(block, Block)
        assert not block.valid_utf8 or all(is_utf8(line) for line in block.lines)


@given(lines=st.lists(st.text(max_size=20)), size=st.integers(1, 30))
def test_valid_text_stays_valid_across_chunks(lines: list[str], size: int) -> None:
    blocks, _, _ = split(cut("\n".join(lines).encode(), size))
    assert all(isinstance(block, Block) and block.valid_utf8 for block in blocks)


def test_broken_block_spoils_no_later_block() -> None:
    blocks, _, _ = split([b"good\n", b"b\xff\xc3", b"\xa4d\n", "gööd\n".encode(), b"cut \xc3"])
    assert [block.valid_utf8 for block in blocks if isinstance(block, Block)] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (b"", True),
        ("ä€😀".encode() * 30_000, True),
        ("ä€😀".encode() * 30_000 + b"\xe2\x82", False),
        (b"a" * 100_000 + b"\xff", False),
        (b"\xed\xa0\x80", False),
        (b"\xc0\xaf", False),
    ],
)
def test_utf8_is_checked_to_the_end(data: bytes, *, valid: bool) -> None:
    assert is_utf8(data) is valid


def test_large_chunk_becomes_small_blocks() -> None:
    data = b"x" * 99 + b"\n"
    blocks, _, _ = split([data * 10_000])
    assert lines_of(blocks) == [data[:-1]] * 10_000
    assert (
        max(sum(map(len, block.lines)) for block in blocks if isinstance(block, Block))
        <= BLOCK_BYTES + 100
    )


def test_thirty_megabytes_are_one_line() -> None:
    line = b"x" * (30 * MIB)
    blocks, _, _ = split([*cut(line, 1000), b"\nnext\n"], max_line_bytes=64 * MIB)
    assert lines_of(blocks) == [line, b"next"]


@given(
    runs=st.lists(
        st.tuples(
            st.sampled_from([b"\n", b" \n", b"\r\n", b"x\n", b"\xff\n", b" x \n", b" "]),
            st.integers(1, 9000),
        )
    ),
    size=st.integers(1000, BLOCK_BYTES),
)
def test_runs_of_blank_lines_are_counted(runs: list[tuple[bytes, int]], size: int) -> None:
    data = b"".join(line * count for line, count in runs) + b"\n"
    blocks, _, _ = split(cut(data, size))
    expected = data.split(b"\n")[:-1]
    assert [line if line.strip() else b"" for line in lines_of(blocks)] == [
        line if line.strip() else b"" for line in expected
    ]
    assert all(
        not isinstance(block, Block) or not block.valid_utf8 or is_utf8(b"".join(block.lines))
        for block in blocks
    )


@pytest.mark.parametrize("unit", [b"\n", b" \r\n", b"\n" * 60_000 + b"x\n"])
def test_millions_of_blank_lines_are_few_pieces(unit: bytes) -> None:
    blocks, _, _ = split(cut(unit * (4 * MIB // len(unit)), BLOCK_BYTES))
    assert len(lines_of(blocks)) == unit.count(b"\n") * (4 * MIB // len(unit))
    assert (
        sum(len(block.lines) for block in blocks if isinstance(block, Block))
        < 10 * 4 * MIB // BLOCK_BYTES
    )


def test_oversize_line_goes_to_the_sink() -> None:
    long = bytes(range(1, 10)) * 50_000
    blocks, splitter, sunk = split(
        cut(b"before\n" + long + b"\nafter\n" + long, BLOCK_BYTES), max_line_bytes=2 * BLOCK_BYTES
    )
    shape = [block if isinstance(block, OversizeLine) else block.lines for block in blocks]
    assert shape == [[b"before"], OversizeLine(len(long)), [b"after"], OversizeLine(len(long))]
    assert sunk == (long + long)
    assert splitter.unterminated


def test_line_at_the_limit_is_held() -> None:
    line = b"x" * (2 * BLOCK_BYTES)
    held, _, _ = split([*cut(line, 1000), b"\n"], max_line_bytes=len(line))
    spilled, _, sunk = split([*cut(line, 1000), b"y\n"], max_line_bytes=len(line))
    assert lines_of(held) == [line]
    assert spilled == [OversizeLine(len(line) + 1)]
    assert sunk == line + b"y"


def test_oversize_line_takes_little_memory() -> None:
    chunk = b"x" * BLOCK_BYTES
    splitter = LineSplitter(oversize_sink=len, max_line_bytes=MIB)
    tracemalloc.start()
    blocks = list(splitter.split(chunk for _ in range(1600)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert blocks == [OversizeLine(1600 * BLOCK_BYTES)]
    assert peak < 3 * MIB
