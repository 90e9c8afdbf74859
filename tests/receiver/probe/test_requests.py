"""What a probe costs at most, and which model it takes."""

import json
from decimal import Decimal

import pytest

from receiver.outputs.prices import default_prices, parse_prices
from receiver.probe.requests import (
    MAX_INPUT_TOKENS,
    MAX_OUTPUT_TOKENS,
    REQUESTS,
    SINGLE,
    TEXTS,
    ProbeError,
    choose_model,
    highest_cost,
    input_lines,
)

DAY = "2026-11-28"


def test_cost_is_that_of_all_tokens() -> None:
    prices = parse_prices(
        b'{"date": "2026-11-28", "models": {"small": [{"input": "1", "output": "10"}]}}'
    )
    tokens = REQUESTS * (MAX_INPUT_TOKENS + 10 * MAX_OUTPUT_TOKENS)
    assert highest_cost(prices, "small", DAY) == Decimal(tokens) / 10**6


def test_requests_stay_within_what_is_counted() -> None:
    """A token is at least a byte."""
    rows = [json.loads(line) for line in input_lines().splitlines()]
    assert len(rows) + 2 == REQUESTS
    assert max(len(text.encode()) for text in (*TEXTS, SINGLE)) < MAX_INPUT_TOKENS
    limits = [row["request"]["generationConfig"]["maxOutputTokens"] for row in rows]
    assert limits == [MAX_OUTPUT_TOKENS] * len(TEXTS)


def test_cheapest_model_that_the_key_may_use_is_taken() -> None:
    usable = ["models/gemini-2.5-pro", "models/gemini-2.5-flash-lite", "models/unknown"]
    assert choose_model(default_prices(), usable, DAY)[0] == "gemini-2.5-flash-lite"
    assert choose_model(default_prices(), usable[:1], DAY)[0] == "gemini-2.5-pro"


def test_model_without_a_price_is_not_taken() -> None:
    with pytest.raises(ProbeError, match="set PRICES_FILE to a newer list"):
        choose_model(default_prices(), ["models/unknown"], DAY)


def test_probe_that_may_cost_a_cent_is_refused() -> None:
    prices = parse_prices(
        b'{"date": "2026-11-28", "models": {"dear": [{"input": "1", "output": "1000"}]}}'
    )
    with pytest.raises(ProbeError, match=r"less than \$0.01 only"):
        choose_model(prices, ["models/dear"], DAY)
