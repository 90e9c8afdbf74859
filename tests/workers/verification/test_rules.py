import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.answers.index_rows import StoredRow, read_row
from workers.verification.rules import IndexChecks, Piece, check_object


def pieces_of(lines: list[bytes]) -> list[Piece]:
    """Where each line lies when they stand one after the other."""
    pieces, offset = [], 0
    for number, line in enumerate(lines, 1):
        pieces.append(Piece(number, offset, len(line), hashlib.sha256(line).hexdigest()))
        offset += len(line) + 1
    return pieces


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=6)


@given(lines=LINES, size=st.integers(1, 30))
def test_whole_object_has_nothing_off(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    assert list(check_object("o", pieces_of(lines), cut(data, size))) == []


@given(lines=LINES.filter(bool), size=st.integers(1, 30), data=st.data())
def test_any_change_is_found(lines: list[bytes], size: int, data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                whole[:position],
                whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :],
                whole[:position] + b"x" + whole[position:],
                whole + b"x",
            ]
        )
    )
    assert list(check_object("o", pieces_of(lines), cut(changed, size)))


def test_gap_and_overlap_are_named() -> None:
    first, second, third = pieces_of([b"one", b"two", b"three"])
    data = [b"one\ntwo\nthree\n"]
    assert [str(one) for one in check_object("o", [first, third], data)] == [
        "o, line 3: it begins at byte 8, where 4 was expected"
    ]
    assert [str(one) for one in check_object("o", [first, first, second, third], data)] == [
        "o, line 1: it begins at byte 0, where 4 was expected"
    ]


ROW = {
    "line": 1,
    "key": "k",
    "outcome": "ok",
    "object": "b1/k.json",
    "offset": 0,
    "length": 2,
    "sha256": "0",
}


@pytest.mark.parametrize("key", [None, "k", "", "\ud800", "ä"])
def test_row_is_read_with_any_key(key: str | None) -> None:
    assert read_row(json.dumps(ROW | {"key": key}).encode()).key == key


@pytest.mark.parametrize(
    "wrong", [{"line": "1"}, {"offset": -1}, {"length": 1.5}, {"object": None}, {"line": 2**63}]
)
def test_row_of_wrong_types_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        read_row(json.dumps(ROW | wrong).encode())


@pytest.mark.parametrize(
    ("outcome", "name", "fits"),
    [
        ("ok", "b1/k.json", True),
        ("truncated", "elsewhere/k.json", True),
        ("ok", "b1/_errors.jsonl", False),
        ("error", "b1/_errors.jsonl", True),
        ("duplicate", "b1/k.json", False),
        ("malformed", "b2/_errors.jsonl", False),
        ("unkeyed", "b1/_unkeyed/7.json", True),
        ("unkeyed", "b1/_unkeyed.jsonl", True),
        ("unkeyed", "b1/_unkeyed/8.json", False),
    ],
)
def test_each_outcome_has_its_place(outcome: str, name: str, *, fits: bool) -> None:
    judge = IndexChecks("b1", "b1/_index.jsonl.gz")
    found = list(judge.add(StoredRow(7, None, outcome, name, 0, 2, "0")))
    assert (not found) is fits
