import hashlib
import json
from datetime import date

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from receiver.outputs.prices import parse_prices
from receiver.submissions.gauges import Gauge, assume_rates, prices_around
from receiver.submissions.splitting import (
    NO_OTHER_LIMITS,
    PART_SHARE,
    InputProblems,
    PartCutter,
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


def planned(
    lines: list[bytes], limits: PartLimits = NO_OTHER_LIMITS, gauge: Gauge | None = None
) -> SplitInput:
    plan = split_input(lines, LineChecker(), limits, gauge)
    assert isinstance(plan, SplitInput), plan
    return plan


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=30),
    st.integers(300, 900),
    st.integers(1, 10),
    st.none() | st.integers(300, 3000),
)
def test_parts_cover_the_input_in_order(
    sizes: list[int], max_bytes: int, max_requests: int, enqueue_limit: int | None
) -> None:
    lines = [line(number, size) for number, size in enumerate(sizes)]
    data = b"".join(lines)
    plan = planned([*lines, b"\n"], PartLimits(max_bytes, max_requests, enqueue_limit))
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
    assert all(
        part.requests == 1 or (part.tokens or 0) <= (enqueue_limit or 10**9) // PART_SHARE
        for part in plan.parts
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


HALF = Gauge("generate", msgspec.structs.replace(assume_rates(), per_byte=0.5, most_per_byte=0.5))


def test_parts_are_cut_by_tokens() -> None:
    """A third of what may be enqueued: 300 of 900 tokens, where a line has 100."""
    lines = [line(number, 200 - len(line(number))) for number in range(7)]
    plan = planned(lines, PartLimits(enqueue_limit=900), HALF)
    assert [(part.requests, part.tokens) for part in plan.parts] == [(3, 300), (3, 300), (1, 100)]


def test_request_over_the_share_is_a_part_of_its_own() -> None:
    lines = [line(1), line(2, 1000), line(3)]
    plan = planned(lines, PartLimits(enqueue_limit=900), HALF)
    assert [part.requests for part in plan.parts] == [1, 1, 1]
    assert (plan.parts[1].tokens or 0) > 300


def test_request_that_can_never_be_enqueued_is_a_problem() -> None:
    found = split_input(
        [line(1), line(2, 2000)], LineChecker(), PartLimits(enqueue_limit=900), HALF
    )
    assert isinstance(found, InputProblems)
    tokens = -(-len(line(2, 2000)) // 2)
    assert str(found.first[0]) == (
        f"line 2: it has about {tokens:,} tokens, and 900 of the model may be enqueued at a time:"
        " shorten the request, or set GEMINI_TIER or ENQUEUED_TOKENS if the project may have more"
    )


def test_bound_alone_refuses_no_request() -> None:
    """Nobody has counted: it may have a token per byte, and most likely has far fewer."""
    lines = [line(1, 1000), line(2)]
    plan = planned(lines, PartLimits(enqueue_limit=900))
    assert [part.requests for part in plan.parts] == [1, 1]


def test_parts_and_the_whole_have_their_cost() -> None:
    prices = parse_prices(
        b'{"date": "2026-11-28", "models": {"m": [{"input": "1", "output": "2"}]}}'
    )
    gauge = Gauge("generate", HALF.rates, prices_around(prices, "m", date(2026, 11, 29)))
    plan = planned([line(number) for number in range(5)], PartLimits(requests=2), gauge)
    assert plan.estimate is not None
    costs = [part.most_cost for part in plan.parts if part.most_cost is not None]
    assert len(costs) == 3
    assert sum(costs) == plan.estimate.high


def test_without_a_gauge_costs_are_unknown() -> None:
    plan = planned([line(1)])
    assert plan.parts[0].tokens == len(line(1))
    assert plan.parts[0].most_cost is None
    assert plan.estimate is not None
    assert plan.estimate.high is None


def test_parts_of_a_round_are_numbered_on() -> None:
    cutter = PartCutter(PartLimits(requests=1), HALF, first_number=4, of_round=2)
    for data in (line(1), line(2)):
        cutter.add(cutter.weigh(0, data, json.loads(data)["request"]))
    parts = cutter.close()
    assert [(part.number, part.round, part.first_line) for part in parts] == [(4, 2, 0), (5, 2, 0)]
    assert [part.offset for part in parts] == [0, len(line(1))]
