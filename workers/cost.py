"""What a batch cost, from the tokens that Gemini counted and a price list.

As Gemini bills them: cached tokens at their own price and not as input too, thoughts as output, what tools fed back as
input. Not in it, since no result tells: the storage of caches, and searches. Exact decimals; what can't be known is
"unknown", never a guess and never 0.
"""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Any, Literal

from receiver.manifests import Cost
from receiver.prices import ANY_MODALITY, MODALITIES, Prices, Rate, Rates
from workers.account import Metered

UNKNOWN: Literal["unknown"] = "unknown"
CURRENCY = "USD"
_MILLION = Decimal(1_000_000)
_DIGITS = 60  # more than any sum here needs: no rounding
_Tokens = Mapping[str, int]  # by modality


def price_batch(prices: Prices, model: str | None, moment: str | None, metered: Metered) -> Cost | Literal["unknown"]:
    """The cost of a batch of `model` that ended at `moment` (RFC 3339)."""
    day = (moment or "")[: len("2026-01-31")]
    price = prices.find(model, day) if model and day else None
    if price is None or metered.silent_answers:
        return UNKNOWN
    usual, long = metered.total, None
    if price.long is not None:
        usual, long = _subtract(metered.total, metered.long), metered.long
    with localcontext(prec=_DIGITS):
        parts = [_price_usage(usual, price.rates)]
        if price.long is not None and long is not None:
            parts.append(_price_usage(long, price.long))
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return UNKNOWN
        paid, cached, output = (sum(sums, Decimal(0)) / _MILLION for sums in zip(*known, strict=True))
        total = paid + cached + output
    return Cost(CURRENCY, _plain(total), prices.date, _plain(paid), _plain(cached), _plain(output))


def _price_usage(usage: Mapping[str, Any], rates: Rates) -> tuple[Decimal, Decimal, Decimal] | None:
    """Input, cached input and output, times a million; None when one of them can't be known."""
    modalities = usage["by_modality"]
    fresh = _subtract(modalities["prompt"], modalities["cached"])
    prompt = _price_tokens(usage["prompt"] - usage["cached"], fresh, rates.input)
    tools = _price_tokens(usage["tool_use_prompt"], modalities["tool_use_prompt"], rates.input)
    cached = _price_tokens(usage["cached"], modalities["cached"], rates.cached)
    answers = _price_tokens(usage["candidates"], modalities["candidates"], rates.output)
    thoughts = _price_tokens(usage["thoughts"], {"TEXT": usage["thoughts"]}, rates.output)
    if prompt is None or tools is None or cached is None or answers is None or thoughts is None:
        return None
    return prompt + tools, cached, answers + thoughts


def _price_tokens(tokens: int, by_modality: _Tokens, rate: Rate | None) -> Decimal | None:
    """Where prices differ by modality, every token's modality must be told."""
    if tokens == 0:
        return Decimal(0)
    if tokens < 0 or rate is None:
        return None
    if isinstance(rate, Decimal):
        return tokens * rate
    told = {name: count for name, count in by_modality.items() if count}
    if sum(told.values()) != tokens or any(count < 0 or name not in MODALITIES for name, count in told.items()):
        return None
    return sum((count * rate.get(name, rate[ANY_MODALITY]) for name, count in told.items()), Decimal(0))


def _subtract(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Counts less counts, in whatever depth they stand."""
    left = dict(whole)
    for name, value in part.items():
        nested = isinstance(value, Mapping)
        left[name] = _subtract(whole.get(name, {}), value) if nested else whole.get(name, 0) - value
    return left


def _plain(amount: Decimal) -> str:
    return format(amount.normalize(), "f")
