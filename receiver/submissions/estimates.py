"""What a submission may cost, in words: before it is sent, under its limits, and afterwards. Pure.

How the amounts come about is in `receiver.submissions.gauges`.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

from receiver.errors import SubmissionError
from receiver.submissions.policy import Policy
from receiver.submissions.submission import Estimate, Part

_CENT = Decimal("0.01")


def format_dollars(amount: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
    """An amount in cents; one below a dollar with its first two digits.

    >>> [format_dollars(Decimal(text)) for text in ("1234.567", "0.5", "0.010", "0.000049", "0")]
    ['$1,234.57', '$0.50', '$0.01', '$0.000049', '$0']
    """
    if not amount:
        return "$0"
    digits = -2 if amount >= 1 else amount.adjusted() - 1
    rounded = amount.quantize(Decimal(1).scaleb(digits), rounding).normalize()
    return f"${max(rounded, rounded.quantize(_CENT), key=_count_decimals):,f}"


def _count_decimals(amount: Decimal) -> int:
    return -int(amount.as_tuple().exponent)


def describe_estimate(estimate: Estimate) -> list[str]:
    """What it may cost, and how that was found out: one line each."""
    low, expected = _dollars_or_unknown(estimate.low), _dollars_or_unknown(estimate.expected)
    high = _dollars_or_unknown(estimate.high, ROUND_CEILING)
    is_unknown = estimate.low is estimate.expected is estimate.high is None
    amounts = "unknown" if is_unknown else f"{expected} expected, {low} at least, {high} at most"
    return [f"cost: {amounts}", *(f"  {reason}" for reason in estimate.basis.split("; "))]


def describe_truth(estimate: Estimate | None, cost: Decimal | None) -> str:
    """What it did cost, against what was expected.

    >>> describe_truth(Estimate(Decimal(1), Decimal(2), Decimal(4), ""), Decimal("1.5"))
    'it cost $1.50: $2.00 was expected, $1.00 to $4.00 possible'
    """
    if cost is None:
        return f"what it cost is unknown{_before(estimate)}"
    if estimate is None or estimate.expected is None:
        return f"it cost {format_dollars(cost)}{_before(estimate)}"
    low = _dollars_or_unknown(estimate.low)
    high = _dollars_or_unknown(estimate.high, ROUND_CEILING)
    expected = f"{format_dollars(estimate.expected)} was expected, {low} to {high} possible"
    return f"it cost {format_dollars(cost)}: {expected}"


def _before(estimate: Estimate | None) -> str:
    if estimate is None:
        return "; nobody had estimated it"
    return f"; {_dollars_or_unknown(estimate.expected)} was expected"


def _dollars_or_unknown(amount: Decimal | None, rounding: str = ROUND_HALF_EVEN) -> str:
    return "unknown" if amount is None else format_dollars(amount, rounding)


def check_policy(
    estimate: Estimate, parts: Sequence[Part], policy: Policy, day_cap: Decimal | None
) -> None:
    """Raise SubmissionError where a limit on the cost can't be kept, before anything is sent.

    `day_cap` is DAILY_COST_CAP of the project, in US dollars. The message says what would be right.
    """
    caps = {"--max-cost": policy.max_cost, "DAILY_COST_CAP": day_cap}
    for name, cap in caps.items():
        if cap is not None:
            _check_cap(estimate, parts, policy, name, cap)


def _check_cap(
    estimate: Estimate, parts: Sequence[Part], policy: Policy, name: str, cap: Decimal
) -> None:
    limit = f"the {name} of {format_dollars(cap)}"
    if name == "--max-cost" and estimate.low is not None and estimate.low > cap:
        raise SubmissionError(
            "nothing was sent: the requests alone, without any answer, cost about"
            f" {_round_up(estimate.low)}, which is over {limit}: {_advise_raising(estimate, name)}"
        )
    reason = estimate.basis.partition("; ")[0]  # what makes it unknown comes first
    for part in parts:
        if part.most_cost is None and not policy.allow_unknown_cost:
            raise SubmissionError(
                f"nothing was sent: nobody knows what part {part.number} may cost at most, and"
                f" {limit} is to be kept ({reason}): name a PRICES_FILE that has the model,"
                " say --allow-unknown-cost, or take the limit off"
            )
        if part.most_cost is not None and part.most_cost > cap:
            raise SubmissionError(
                f"nothing was sent: part {part.number} may cost {_round_up(part.most_cost)}, which"
                f" is over {limit}: {_advise(part, part.most_cost, name, cap)}"
            )


def _advise_raising(estimate: Estimate, name: str) -> str:
    if estimate.high is None:
        return f"raise {name}, or send fewer requests"
    return f"raise {name} (at {_round_up(estimate.high)} all is sent), or send fewer requests"


def _advise(part: Part, most: Decimal, name: str, cap: Decimal) -> str:
    requests = int(part.requests * cap / most)
    smaller = f", make the parts smaller (--max-requests {requests})" if requests else ""
    return (
        "state a maxOutputTokens in the requests, or a smaller one (of a table: --set"
        f" max_output_tokens=500){smaller}, or raise {name} to {_round_up(most)}"
    )


def _round_up(amount: Decimal) -> str:
    return format_dollars(amount, ROUND_CEILING)


def describe_caps(estimate: Estimate, policy: Policy, day_cap: Decimal | None) -> list[str]:
    """What the limits on the cost may hold back, though they can be kept; one line each."""
    notes = list[str]()
    high = estimate.high
    if policy.max_cost is not None and high is not None and high > policy.max_cost:
        notes.append(
            f"it may cost {_round_up(high)}: what could take it over --max-cost"
            f" {format_dollars(policy.max_cost)} is not sent"
        )
    if day_cap and high is not None and high > day_cap:
        days = (high / day_cap).to_integral_value(ROUND_CEILING)
        notes.append(
            f"it may take {days:,.0f} days, since DAILY_COST_CAP is {format_dollars(day_cap)}"
        )
    return notes


def describe_pace(parts: Sequence[Part], enqueue_limit: int | None) -> list[str]:
    """Why parts wait for each other, if they do; `enqueue_limit` is in tokens."""
    tokens = sum(part.tokens or 0 for part in parts)
    if enqueue_limit is None or tokens <= enqueue_limit:
        return []
    limit = f"{tokens:,} tokens, and {enqueue_limit:,} may be enqueued at a time"
    sent = f"its {len(parts):,} parts are sent as room gets free"
    hint = "GEMINI_TIER or ENQUEUED_TOKENS say if the project may have more"
    return [f"it has up to {limit}: {sent}. {hint}"]
