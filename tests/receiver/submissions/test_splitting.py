import hashlib

from hypothesis import given
from hypothesis import strategies as st

from receiver.submissions.splitting import (
    NO_OTHER_LIMITS,
    InputProblems,
    PartLimits,
    SplitInput,
    split_input,
)
from receiver.submissions.validation import LineChecker


def line(number: int, size: int = 0) -> bytes:
    return b'{"key": "k%d", "request": {"contents": [{"parts": [{"text": "%s"}]}]}}\n' % (
        number,
        b"x" * size,
    )


def planned(lines: list[bytes], limits: PartLimits = NO_OTHER_LIMITS) -> SplitInput:
    plan = split_input(lines, LineChecker(), limits)
    assert isinstance(plan, SplitInput), plan
    return plan


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=30),
    st.integers(300, 900),
    st.integers(1, 10),
)
def test_parts_cover_the_input_in_order(
    sizes: list[int], max_bytes: int, max_requests: int
) -> None:
    lines = [line(number, size) for number, size in enumerate(sizes)]
    data = b"".join(lines)
    plan = planned([*lines, b"\n"], PartLimits(max_bytes, max_requests))
    assert (plan.sha256, plan.size_bytes, plan.requests) == (
        hashlib.sha256(data).hexdigest(),
        len(data),
        len(lines),
    )
    pieces = [data[part.offset : part.offset + part.size_bytes] for part in plan.parts]
    assert b"".join(pieces) == data
    assert [hashlib.sha256(piece).hexdigest() for piece in pieces] == [
        part.sha256 for part in plan.parts
    ]
    assert [piece.count(b"\n") for piece in pieces] == [part.requests for part in plan.parts]
    assert all(
        part.size_bytes <= max_bytes and part.requests <= max_requests for part in plan.parts
    )
    firsts = [
        sum(part.requests for part in plan.parts[:index]) + 1 for index in range(len(plan.parts))
    ]
    assert [part.first_line for part in plan.parts] == firsts


def test_line_that_fits_no_batch_is_a_problem() -> None:
    found = split_input([line(1), line(2, 500)], LineChecker(), PartLimits(400))
    assert isinstance(found, InputProblems)
    assert "bytes; a batch sent this way takes 400" in str(found.first[0])


def test_parts_are_as_few_as_can_be() -> None:
    assert [
        part.requests
        for part in planned([line(number) for number in range(7)], PartLimits(requests=3)).parts
    ] == [3, 3, 1]


def test_input_without_a_newline_at_its_end_is_whole() -> None:
    plan = planned([line(1), line(2).rstrip()])
    assert plan.size_bytes == len(line(1) + line(2)) - 1


def test_many_problems_are_counted() -> None:
    found = split_input([b"{}\n"] * 50, LineChecker())
    assert isinstance(found, InputProblems)
    assert (found.count, len(found.first)) == (50, 20)


def test_empty_input_is_a_problem() -> None:
    found = split_input([b"\n"], LineChecker())
    assert isinstance(found, InputProblems)
    assert str(found.first[0]) == "line 1: the input holds no request"
