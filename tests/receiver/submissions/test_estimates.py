import doctest
from decimal import Decimal
from typing import Any

import pytest

from receiver.errors import SubmissionError
from receiver.submissions import estimates
from receiver.submissions.estimates import (
    check_policy,
    describe_caps,
    describe_estimate,
    describe_pace,
    describe_truth,
    format_dollars,
)
from receiver.submissions.policy import Policy
from receiver.submissions.submission import Estimate
from tests.receiver.submissions.submissions import part

KNOWN = Estimate(Decimal("1.20"), Decimal("4.00"), Decimal("90.005"), "counted; assumed")
UNKNOWN = Estimate(None, None, None, "the price list has no price of the model; counted")
PARTS = [part(1, most_cost=Decimal("60.00")), part(2, most_cost=Decimal("30.005"))]


def refusal(
    estimate: Estimate, *costs: str | None, day_cap: str | None = None, **policy: Any
) -> str:
    parts = [
        part(number, most_cost=None if cost is None else Decimal(cost))
        for number, cost in enumerate(costs, 1)
    ]
    with pytest.raises(SubmissionError) as told:
        check_policy(
            estimate, parts, Policy(**policy), None if day_cap is None else Decimal(day_cap)
        )
    return str(told.value)


def test_limits_that_can_be_kept_pass() -> None:
    check_policy(KNOWN, PARTS, Policy(), None)
    check_policy(KNOWN, PARTS, Policy(max_cost=Decimal(60)), Decimal(60))
    check_policy(UNKNOWN, [part(1)], Policy(), None)
    allowed = Policy(max_cost=Decimal(1), allow_unknown_cost=True)
    check_policy(UNKNOWN, [part(1)], allowed, Decimal(1))


def test_cap_below_the_cheapest_is_refused() -> None:
    assert refusal(KNOWN, "60", max_cost=Decimal("1.19")) == (
        "nothing was sent: the requests alone, without any answer, cost about $1.20, which is over"
        " the --max-cost of $1.19: raise --max-cost (at $90.01 all is sent), or send fewer requests"
    )


def test_cheapest_may_take_several_days() -> None:
    check_policy(KNOWN, [part(1, most_cost=Decimal(1))], Policy(), Decimal(1))


def test_part_over_the_daily_cap_is_refused() -> None:
    assert refusal(KNOWN, "1", "60.001", day_cap="25") == (
        "nothing was sent: part 2 may cost $60.01, which is over the DAILY_COST_CAP of $25.00: state"
        " a maxOutputTokens in the requests, or a smaller one (of a table: --set"
        " max_output_tokens=500), make the parts smaller"
        " (--max-requests 4), or raise DAILY_COST_CAP to $60.01"
    )


def test_part_over_the_cap_is_refused() -> None:
    """Nothing of it could ever be sent."""
    said = refusal(KNOWN, "60", max_cost=Decimal(2))
    assert "part 1 may cost $60.00, which is over the --max-cost of $2.00" in said
    assert said.endswith("max_output_tokens=500), or raise --max-cost to $60.00")


@pytest.mark.parametrize(
    ("caps", "limit"),
    [
        ({"max_cost": Decimal(5)}, "the --max-cost of $5.00"),
        ({"day_cap": "7"}, "the DAILY_COST_CAP of $7.00"),
    ],
)
def test_unknown_cost_under_a_cap_is_refused(caps: dict[str, Any], limit: str) -> None:
    assert refusal(UNKNOWN, None, **caps) == (
        f"nothing was sent: nobody knows what part 1 may cost at most, and {limit} is to be kept"
        " (the price list has no price of the model): name a PRICES_FILE that has the model, say"
        " --allow-unknown-cost, or take the limit off"
    )


def test_known_part_is_checked_beside_unknown_ones() -> None:
    said = refusal(UNKNOWN, None, "9", max_cost=Decimal(5), allow_unknown_cost=True)
    assert "part 2 may cost $9.00" in said


def test_estimate_is_said_in_lines() -> None:
    assert describe_estimate(KNOWN) == [
        "cost: $4.00 expected, $1.20 at least, $90.01 at most",
        "  counted",
        "  assumed",
    ]
    assert describe_estimate(UNKNOWN) == [
        "cost: unknown",
        "  the price list has no price of the model",
        "  counted",
    ]
    half = Estimate(Decimal(1), None, None, "tools")
    assert describe_estimate(half)[0] == ("cost: unknown expected, $1.00 at least, unknown at most")


@pytest.mark.parametrize(
    ("estimate", "cost", "words"),
    [
        (KNOWN, "3.5", "it cost $3.50: $4.00 was expected, $1.20 to $90.01 possible"),
        (UNKNOWN, "3.5", "it cost $3.50; unknown was expected"),
        (None, "3.5", "it cost $3.50; nobody had estimated it"),
        (KNOWN, None, "what it cost is unknown; $4.00 was expected"),
        (None, None, "what it cost is unknown; nobody had estimated it"),
    ],
)
def test_truth_is_held_against_the_estimate(
    estimate: Estimate | None, cost: str | None, words: str
) -> None:
    assert describe_truth(estimate, None if cost is None else Decimal(cost)) == words


def test_what_caps_hold_back_is_said() -> None:
    policy = Policy(max_cost=Decimal(60))
    assert describe_caps(KNOWN, policy, Decimal(30)) == [
        "it may cost $90.01: what could take it over --max-cost $60.00 is not sent",
        "it may take 4 days, since DAILY_COST_CAP is $30.00",
    ]
    assert describe_caps(KNOWN, Policy(max_cost=Decimal(91)), Decimal(91)) == []
    assert describe_caps(UNKNOWN, policy, Decimal(30)) == []


def test_parts_that_wait_for_each_other_are_said() -> None:
    parts = [part(number, tokens=900) for number in (1, 2)]
    (said,) = describe_pace(parts, 1799)
    assert said == (
        "it has up to 1,800 tokens, and 1,799 may be enqueued at a time: its 2 parts are sent as"
        " room gets free. GEMINI_TIER or ENQUEUED_TOKENS say if the project may have more"
    )
    assert describe_pace(parts, 1800) == describe_pace(parts, None) == []
    assert describe_pace([part(tokens=None)], 1) == []


def test_amounts_are_as_precise_as_they_need_be() -> None:
    assert doctest.testmod(estimates).failed == 0
    assert format_dollars(Decimal("0.999")) == "$1.00"
