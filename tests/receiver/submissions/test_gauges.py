import json
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from receiver.outputs.prices import parse_prices
from receiver.submissions.gauges import Gauge, Load, assume_rates, prices_around
from receiver.submissions.request_sizes import RequestSize
from receiver.submissions.submission import Estimate, RequestKind, TokenRates

DAY = date(2026, 11, 29)
PRICES = parse_prices(
    json.dumps(
        {
            "date": "2026-11-28",
            "models": {
                "plain": [{"input": "1", "output": "10"}],
                "long": [
                    {"input": "1", "output": "10", "long": {"input": "2", "output": "15"}},
                ],
                "media": [
                    {"input": {"*": "1", "AUDIO": "4"}, "output": {"*": "10", "IMAGE": "60"}}
                ],
                "partial": [{"input": {"*": "1", "AUDIO": None}, "output": "10"}],
                "rising": [
                    {"input": "1", "output": "10"},
                    {"from": "2026-12-06", "input": "3", "output": "30"},
                    {"from": "2026-12-07", "input": "9", "output": "90"},
                ],
                "ending": [
                    {"input": "1", "output": "10"},
                    {"from": "2026-12-01", "input": None},
                ],
                "embedder": [{"input": "1"}],
            },
        }
    ).encode()
)
RATES = TokenRates(
    per_byte=0.2,
    most_per_byte=0.5,
    per_attachment=300,
    most_per_attachment=1000,
    counted=20,
    input_limit=1_000_000,
    output_limit=60_000,
    per_answer=100,
    batches=3,
)


def size(text_bytes: int = 1000, output: int | None = 50, **fields: Any) -> RequestSize:
    usual = {"attachments": 0, "candidates": 1, "runs_tools": False}
    return RequestSize(text_bytes=text_bytes, output_tokens=output, **(usual | fields))


def estimate(
    model: str,
    *sizes: RequestSize,
    rates: TokenRates = RATES,
    kind: RequestKind = "generate",
) -> Estimate:
    gauge, load = Gauge(kind, rates, prices_around(PRICES, model, DAY)), Load()
    for one in sizes:
        load.add(one, gauge.weigh(one))
    return gauge.estimate(load)


def millionths(found: Estimate) -> tuple[Any, ...]:
    """Low, expected and high in millionths of a dollar."""
    amounts = (found.low, found.expected, found.high)
    return tuple(None if amount is None else amount * 1_000_000 for amount in amounts)


def test_input_and_output_are_priced() -> None:
    """200 tokens of input, 1,000 at most; 100 of output are usual, and 50 the limit."""
    found = estimate("plain", size(), size())
    assert millionths(found) == (400, 2 * (200 + 500), 2 * (1000 + 500))
    assert found.input_tokens == 400


def test_no_sample_lowers_the_bound_of_the_cost() -> None:
    """What was not counted may be text of which each byte is a token."""
    sparse = msgspec.structs.replace(RATES, per_byte=0.01, most_per_byte=0.012)
    found = estimate("plain", size(text_bytes=1_000_000), rates=sparse)
    assert millionths(found)[2] == 1_000_000 + 500
    assert "10,000 tokens of input, 1,000,000 at most" in found.basis


def test_answers_have_the_usual_length() -> None:
    assert millionths(estimate("plain", size(output=1000))) == (200, 200 + 1000, 1000 + 10_000)


def test_answer_without_a_limit_may_have_that_of_the_model() -> None:
    found = estimate("plain", size(output=None), size())
    assert millionths(found)[2] == 1000 + 600_000 + 1000 + 500
    assert "1 request states no maxOutputTokens, so each answer may have 60,000" in found.basis


def test_limit_of_a_request_is_at_most_that_of_the_model() -> None:
    assert millionths(estimate("plain", size(output=10**9)))[2] == 1000 + 600_000


def test_each_candidate_is_paid_for() -> None:
    assert millionths(estimate("plain", size(candidates=3))) == (200, 200 + 1500, 1000 + 1500)


def test_attachments_have_tokens_of_their_own() -> None:
    assert millionths(estimate("plain", size(attachments=2))) == (800, 800 + 500, 3000 + 500)


def test_request_has_no_more_tokens_than_the_model_takes() -> None:
    found = estimate("plain", size(attachments=5000))
    assert millionths(found) == (1_000_000, 1_000_000 + 500, 1_000_000 + 500)


def test_long_prompt_has_its_own_price() -> None:
    short, usual, long = (size(text_bytes=bytes_) for bytes_ in (200_000, 400_000, 400_002))
    assert millionths(estimate("long", short)) == (40_000, 40_000 + 500, 200_000 + 500)
    assert millionths(estimate("long", usual)) == (80_000, 80_000 + 500, 2 * 400_000 + 750)
    assert millionths(estimate("long", long)) == (
        80_001,
        2 * 80_001 + 750,
        2 * 400_002 + 750,
    )


def test_dearest_kind_of_token_bounds_the_cost() -> None:
    """A plain request has text alone; what an attachment is nobody knows, nor what is answered."""
    assert millionths(estimate("media", size())) == (200, 200 + 3000, 1000 + 3000)
    assert millionths(estimate("media", size(attachments=1))) == (500, 2000 + 3000, 8000 + 3000)


def test_price_that_is_unknown_stays_unknown() -> None:
    assert millionths(estimate("partial", size())) == (200, 700, 1500)
    found = estimate("partial", size(), size(attachments=1))
    assert millionths(found) == (700, None, None)
    assert "the price list does not price every kind of token" in found.basis
    assert millionths(estimate("stranger", size())) == (None, None, None)
    assert "the price list has no price of the model" in estimate("stranger", size()).basis


def test_price_of_the_week_bounds_the_cost() -> None:
    """A batch is billed by the day on which it ends, a few days after this."""
    assert millionths(estimate("rising", size())) == (200, 700, 3 * 1500)
    assert millionths(estimate("ending", size())) == (200, 700, None)


def test_tools_of_gemini_have_no_bound() -> None:
    found = estimate("plain", size(), size(runs_tools=True))
    assert millionths(found) == (400, None, None)
    assert "1 request uses tools that run at Gemini" in found.basis


def test_embeddings_have_no_output() -> None:
    found = estimate("embedder", size(), kind="embed")
    assert millionths(found) == (200, 200, 1000)
    assert "answer" not in found.basis


def test_without_a_count_bytes_bound_the_tokens() -> None:
    found = estimate("plain", size(), rates=assume_rates())
    assert millionths(found) == (125, 250 + 500, 1000 + 500)
    assert found.basis == (
        "by the size of the requests alone there are about 250 tokens of input, 1,000 at most;"
        " 1,000 tokens per answer are assumed, since no stored batch of the model tells"
    )


def test_basis_says_what_was_counted() -> None:
    assert estimate("plain", size(), size()).basis == (
        "Gemini counted 20 of 2 requests, so there are about 400 tokens of input, 2,000 at most;"
        " expected are 100 tokens per answer, as in 3 stored batches of the model"
    )


def test_doubts_are_passed_on() -> None:
    gauge = Gauge("generate", RATES, [None], ["Gemini was away"])
    assert gauge.estimate(Load()).basis.endswith("; Gemini was away")


def test_estimate_can_be_stored() -> None:
    found = estimate("plain", size())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Estimate) == found


sizes = st.builds(
    size,
    st.integers(1, 10**6),
    st.none() | st.integers(1, 10**5),
    attachments=st.integers(0, 3),
    candidates=st.integers(1, 3),
)


@given(st.lists(sizes, max_size=8), st.sampled_from(["plain", "long", "media", "rising"]))
def test_bounds_hold_the_expected_cost(requests: list[RequestSize], model: str) -> None:
    found = estimate(model, *requests)
    assert found.low is not None
    assert found.expected is not None
    assert found.high is not None
    assert found.low <= found.expected <= found.high


@given(st.lists(sizes, min_size=1, max_size=8), st.integers(0, 8))
def test_parts_cost_what_the_whole_does(requests: list[RequestSize], cut: int) -> None:
    """So that a sum over parts can be held against a limit."""
    gauge = Gauge("generate", RATES, prices_around(PRICES, "long", DAY))
    parts = (Load(), Load())
    for index, one in enumerate(requests):
        parts[index < cut].add(one, gauge.weigh(one))
    costs = [gauge.most_cost(part) or Decimal(0) for part in parts]
    assert sum(costs) == estimate("long", *requests).high


@given(st.lists(sizes), st.lists(st.builds(size, runs_tools=st.booleans())))
def test_loads_add_up(some: list[RequestSize], others: list[RequestSize]) -> None:
    gauge = Gauge("generate", RATES)
    whole, merged = Load(), Load()
    for requests in (some, others):
        part = Load()
        for one in requests:
            part.add(one, gauge.weigh(one))
            whole.add(one, gauge.weigh(one))
        merged.merge(part)
    assert vars(merged) == vars(whole)
