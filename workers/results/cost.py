"""What a batch cost, from the tokens that Gemini counted and a price list.

As Gemini bills them: cached tokens have a price of their own, thoughts count as output, what tools
fed back as input. The storage of caches and searches are left out: no result says what they cost.
Sums are exact decimals; what can't be known is "unknown", never a guess and never 0.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from receiver.outputs.manifest import Cost, Priced
from receiver.outputs.prices import ANY_MODALITY, MODALITIES, Prices, Rate, Rates
from receiver.outputs.wording import count_of
from workers.results.meter import Metered, ModelUsage

CURRENCY = "USD"
_MILLION = Decimal(1_000_000)
_DIGITS = 60  # more than any sum here needs: no rounding
_Tokens = Mapping[str, int]  # by modality
_Parts = tuple[Decimal, Decimal, Decimal]  # input, cached input and output, times a million
_NOTHING: _Parts = (Decimal(0), Decimal(0), Decimal(0))


def price_batch(
    prices: Prices, model: str | None, moment: str | None, metered: Metered, missing: int | None
) -> Cost | Priced:
    """The cost of a batch of `model` that ended at `moment` (RFC 3339).

    Where only a part is known, says of how many answers. The model that a line names decides its
    price, since that of the batch may be an alias; where it names none, the batch's does. Gemini
    may have billed the `missing` requests, too, which have no result.
    """
    day = _read_day(moment)
    doubts = [f"{_count_lines(count)} {doubt}" for doubt, count in sorted(metered.doubts.items())]
    known, answers, all_answers = list[_Parts](), 0, sum(metered.doubts.values())
    for line_model, usage in metered.models.items():
        parts = _price_model(prices, line_model or model, day, usage)
        all_answers += usage.lines
        if isinstance(parts, str):
            doubts.append(parts)
        else:
            answers += usage.lines
            known.append(parts)

    if missing or (missing is None and not all_answers):
        doubts.append(_describe_missing(missing))
    if doubts:
        return Priced(answers, all_answers + (missing or 0), "; ".join(doubts))

    with localcontext(prec=_DIGITS):
        paid, cached, output = (
            sum(sums, Decimal(0)) / _MILLION for sums in zip(_NOTHING, *known, strict=True)
        )
        amounts = [_plain(amount) for amount in (paid, cached, output)]
        return Cost(CURRENCY, _plain(paid + cached + output), prices.date, *amounts)


def _read_day(moment: str | None) -> str:
    """The day of an RFC 3339 time; empty for what is none."""
    day = (moment or "")[: len("2026-01-31")]
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        return ""


def _count_lines(count: int) -> str:
    return count_of(count, "line", "lines")


def _describe_missing(missing: int | None) -> str:
    if missing is None:
        return "how many requests there were is not known"
    return f"{count_of(missing, 'request has', 'requests have')} no result"


def _price_model(prices: Prices, model: str | None, day: str, usage: ModelUsage) -> _Parts | str:
    """Input, cached input and output of a model's lines, times a million; or why it is unknown."""
    if not model or not day:
        return f"{_count_lines(usage.lines)} came without {'a day' if model else 'a model'}"
    price = prices.find(model, day)
    if price is None:
        return f"the price list has no price of {model.removeprefix('models/')} on {day}"
    with localcontext(prec=_DIGITS):
        if price.long is None:
            parts = _price_usage(usage.total, price.rates)
        else:
            usual = _price_usage(_subtract(usage.total, usage.long), price.rates)
            long = _price_usage(usage.long, price.long)
            parts = _add(usual, long) if usual and long else None
    return (
        parts
        or f"the price list does not price every kind of token of {model.removeprefix('models/')}"
    )


def _add(one: _Parts, other: _Parts) -> _Parts:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _price_usage(usage: Mapping[str, Any], rates: Rates) -> _Parts | None:
    """None when one of the parts can't be known."""
    modalities = usage["by_modality"]
    prompt = _price_fresh(usage, rates.input)
    tools = _price_tokens(usage["tool_use_prompt"], modalities["tool_use_prompt"], rates.input)
    cached = _price_tokens(usage["cached"], modalities["cached"], rates.cached)
    answers = _price_tokens(usage["candidates"], modalities["candidates"], rates.output)
    thoughts = _price_tokens(usage["thoughts"], {"TEXT": usage["thoughts"]}, rates.output)
    if prompt is None or tools is None or cached is None or answers is None or thoughts is None:
        return None
    return prompt + tools, cached, answers + thoughts


def _price_fresh(usage: Mapping[str, Any], rate: Rate | None) -> Decimal | None:
    """What the prompt cost beside its cached part.

    Modalities are subtracted only where both are complete: a gap in one could hide another.
    """
    prompt, cached, modalities = usage["prompt"], usage["cached"], usage["by_modality"]
    sums = sum(modalities["prompt"].values()), sum(modalities["cached"].values())
    is_complete = sums == (prompt, cached)
    fresh = _subtract(modalities["prompt"], modalities["cached"]) if is_complete else {}
    return _price_tokens(prompt - cached, fresh, rate)


def _price_tokens(tokens: int, by_modality: _Tokens, rate: Rate | None) -> Decimal | None:
    """Where prices differ by modality, the modality of every token must be known."""
    if tokens == 0:
        return Decimal(0)
    if tokens < 0 or rate is None:
        return None
    if isinstance(rate, Decimal):
        return tokens * rate
    counts = {name: count for name, count in by_modality.items() if count}
    is_sound = all(count > 0 and name in MODALITIES for name, count in counts.items())
    if sum(counts.values()) != tokens or not is_sound:
        return None

    price = Decimal(0)
    for name, count in counts.items():
        own = rate.get(name, rate[ANY_MODALITY])
        if own is None:
            return None
        price += count * own
    return price


def _subtract(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of `whole` less those of `part`, at any depth; both have the same mappings."""
    left = dict(whole)
    for name, value in part.items():
        nested = isinstance(value, Mapping)
        left[name] = _subtract(whole[name], value) if nested else whole.get(name, 0) - value
    return left


def _plain(amount: Decimal) -> str:
    return format(amount.normalize(), "f")
