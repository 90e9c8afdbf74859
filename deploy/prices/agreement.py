"""Which batch prices two sources vouch for. Pure.

A price needs two witnesses. Where both name a batch price, they must name the same. Where only one
does, the other must name the same *full* price, and the batch price must be half of it, which is
what Google says of batches; that rule says nothing of cached tokens, so that their price needs two
names. What only one source knows, or both know differently, is None: the cost of such tokens is
unknown. Days to come are known to genai-prices alone: its price of a later day holds
where it names it for batches, and input and output are half of its own full price of that day.
"""

from decimal import Decimal
from typing import Any

from deploy.prices.sources import Dated, Kind, Offer, Prices

_HALF = Decimal("0.5")
_KINDS = ("input", "output", "cached")
_MODALITIES = ("AUDIO", "IMAGE", "VIDEO")


def agree_on(litellm: Offer, genai_prices: Dated) -> list[dict[str, Any]]:
    """A model's entries in the price list; empty where no price of its input has two witnesses."""
    now = _Agreement(litellm, genai_prices.now)
    if not litellm.batch or now.price("input", "*") is None:
        return []
    entries, before = [_entry(now)], genai_prices.now
    for day, offer in genai_prices.later.items():
        if offer.standard != before.standard or offer.batch:
            entries.append({"from": day, **_later_entry(offer)})
        before = offer
    return entries


def _later_entry(offer: Offer) -> dict[str, Any]:
    halves = all(
        offer.batch.get((kind, "*")) == _half_of(offer.standard, (kind, "*"))
        for kind in ("input", "output")
    )
    return _entry(_Agreement(offer, offer)) if offer.batch and halves else {"input": None}


def _half_of(prices: Prices, kind: Kind) -> Decimal | None:
    return prices[kind] * _HALF if kind in prices else None


class _Agreement:
    def __init__(self, one: Offer, other: Offer) -> None:
        self._one, self._other = one, other
        self._lists = (one.standard, one.batch, other.standard, other.batch)

    def names(self, what: str) -> bool:
        """Whether anybody has a price of it at all."""
        return any((what, "*") in prices for prices in self._lists)

    def tells_apart(self, what: str, modality: str) -> bool:
        """Whether anybody has another price for this modality."""
        return any(
            (what, modality) in prices and prices[what, modality] != prices.get((what, "*"))
            for prices in self._lists
        )

    def price(self, what: str, modality: str) -> Decimal | None:
        kind = (what, modality)
        one, other = self._one.batch.get(kind), self._other.batch.get(kind)
        if one is not None and other is not None:
            return one if one == other else None
        alone, full = one or other, self._one.standard.get(kind)
        if alone is None or what.endswith("cached") or full != self._other.standard.get(kind):
            return None
        return alone if alone == _half_of(self._one.standard, kind) else None


def _entry(agreement: _Agreement) -> dict[str, Any]:
    entry = _rates(agreement, "")
    if any(agreement.names(f"long {kind}") for kind in _KINDS):
        entry["long"] = {"input": None, **_rates(agreement, "long ")}
    return entry


def _rates(agreement: _Agreement, prefix: str) -> dict[str, Any]:
    rates: dict[str, Any] = {}
    for kind in _KINDS:
        price = agreement.price(prefix + kind, "*")
        if price is None:
            continue
        own = [
            modality for modality in _MODALITIES if agreement.tells_apart(prefix + kind, modality)
        ]
        by_modality = {
            modality: _text(agreement.price(prefix + kind, modality)) for modality in own
        }
        rates[kind] = {"*": _text(price), **by_modality} if by_modality else _text(price)
    return rates


def _text(price: Decimal | None) -> str | None:
    return None if price is None else format(price.normalize(), "f")
