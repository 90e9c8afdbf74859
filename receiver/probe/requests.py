"""What a probe sends, by which model, and what that costs at most. Pure.

The requests are as cheap as they can be: a short text, and an answer of few tokens.
"""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from receiver.errors import ReceiverError
from receiver.outputs.prices import Prices

TEXTS = ("Say one.", "Say two.", "Say three.")
SINGLE = "Say four."
MAX_OUTPUT_TOKENS = 16  # thoughts included
# Of a request. Its text has a few tokens; the rest is for what the service may add.
MAX_INPUT_TOKENS = 64
MOST_USD = Decimal("0.01")
REQUESTS = len(TEXTS) + 2  # with those of the dynamic and of the cancelled batch


class ProbeError(ReceiverError):
    """The probe can't be made."""


def request_of(text: str) -> dict[str, Any]:
    return {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"maxOutputTokens": MAX_OUTPUT_TOKENS, "temperature": 0},
    }


def input_lines() -> bytes:
    """The requests file."""
    rows = [{"key": f"probe-{n}", "request": request_of(text)} for n, text in enumerate(TEXTS)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def inline_input() -> dict[str, Any]:
    """The `inputConfig` of a batch of one line."""
    row = {"request": request_of(SINGLE), "metadata": {"key": "probe-0"}}
    return {"requests": {"requests": [row]}}


def highest_cost(prices: Prices, model: str, day: str) -> Decimal | None:
    """What all requests cost at most in US dollars, on a day; None where the list does not say."""
    price = prices.find(model, day)
    if price is None or not isinstance(price.output, Decimal):
        return None
    rate = (
        price.input.get("TEXT", price.input["*"]) if isinstance(price.input, dict) else price.input
    )
    if rate is None:
        return None
    return REQUESTS * (MAX_INPUT_TOKENS * rate + MAX_OUTPUT_TOKENS * price.output) / 10**6


def choose_model(prices: Prices, usable: Iterable[str], day: str) -> tuple[str, Decimal]:
    """The cheapest model, and what all requests cost at most.

    Raises ProbeError where the list has a price of none, or the cheapest is too dear.
    """
    names = {name.removeprefix("models/") for name in usable}
    costs = {name: highest_cost(prices, name, day) for name in names if "tts" not in name}
    known = [(cost, name) for name, cost in costs.items() if cost is not None]
    if not known:
        raise ProbeError(
            "the price list has none of the models that this key may use in batches, so the cost"
            " of a probe is not known: set PRICES_FILE to a newer list"
        )
    cost, name = min(known)
    if cost >= MOST_USD:
        raise ProbeError(f"a probe could cost ${cost:f}, and may cost less than ${MOST_USD} only")
    return name, cost
