"""Prices of Gemini's tokens in a batch: the built-in list, or that of PRICES_FILE. Pure.

A batch pays half of what an interactive request pays. Prices are in US dollars per million tokens,
as decimals, never floats.
"""

import json
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from receiver.outputs.price_table import PRICES

LONG_PROMPT_TOKENS = 200_000  # above, a request pays the prices under `long`, if there are any
ANY_MODALITY = "*"
MODALITIES = frozenset({"TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT"})
_Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z")]
# One price, or one per modality, with `*` for the others.
Rate = Decimal | dict[str, Decimal | None]


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a million tokens cost. None: not known, and neither is the cost of a batch with such."""

    input: Rate | None
    output: Rate | None = None  # thoughts included
    cached: Rate | None = None


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """What a model costs from a day on; None where that is not known."""

    input: Rate | None
    output: Rate | None = None
    cached: Rate | None = None
    long: Rates | None = None  # for requests with a prompt of over LONG_PROMPT_TOKENS
    since: _Day = "0000-00-00"

    @property
    def rates(self) -> Rates:
        """The prices of prompts that are not long."""
        return Rates(self.input, self.output, self.cached)


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price list."""

    date: _Day  # when it was right
    models: dict[str, list[Price]]  # by the model's name, without `models/`
    source: str = ""

    def find(self, model: str, day: str) -> Price | None:
        """What a model cost on a day ("2026-10-07"); None when the list does not say."""
        known = [
            price
            for price in self.models.get(model.removeprefix("models/"), ())
            if price.since <= day
        ]
        return max(known, key=lambda price: price.since, default=None)


def default_prices() -> Prices:
    """The list that comes with the program."""
    return _convert(PRICES)


def parse_prices(data: bytes) -> Prices:
    """The list that a JSON file holds. Raises ValueError with what is wrong."""
    try:
        return _convert(json.loads(data, parse_float=Decimal))
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise ValueError(f"the file is no price list: {error}") from error


def _convert(raw: Any) -> Prices:
    prices = msgspec.convert(raw, Prices)
    for model, periods in prices.models.items():
        for price in periods:
            _check_rates(model, price.rates)
            if price.long is not None:
                _check_rates(model, price.long)
    return prices


def _check_rates(model: str, rates: Rates) -> None:
    for rate in (rates.input, rates.output, rates.cached):
        by_modality = rate if isinstance(rate, dict) else {ANY_MODALITY: rate}
        unknown = sorted(by_modality.keys() - MODALITIES - {ANY_MODALITY})
        if unknown or ANY_MODALITY not in by_modality:
            raise ValueError(
                f"{model}: a price by modality needs {ANY_MODALITY!r}, and may have"
                f" {', '.join(sorted(MODALITIES))}"
            )
        if any(
            price is not None and not (price.is_finite() and price >= 0)
            for price in by_modality.values()
        ):
            raise ValueError(f"{model}: a price is a number from 0 on")
