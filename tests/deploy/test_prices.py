"""The tables of prices and of models' ends: how they are made at release, and whether the ones at hand are old."""

import warnings
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from deploy.prices.agreement import agree_on
from deploy.prices.sources import Dated, Offer, Prices, read_genai_prices, read_litellm
from deploy.prices.tables import MODELS, PRICES, find_old, read_tables, render_models, render_prices
from receiver.outputs.prices import LONG_PROMPT_TOKENS, default_prices

TODAY = date(2026, 11, 28)


def prices(**told: str) -> Prices:
    """`input="1"`, `output_IMAGE="60"`, `long_input="2"`."""
    found: Prices = {}
    for name, price in told.items():
        what, _, modality = name.replace("long_", "long ").partition("_")
        found[what, modality or "*"] = Decimal(price)
    return found


FULL, HALF = prices(input="2", output="12"), prices(input="1", output="6")
AGREED = [{"input": "1", "output": "6"}]
SOURCES: dict[str, tuple[Offer, Offer, list[dict[str, Any]]]] = {
    "both name it": (Offer(FULL, HALF), Offer(FULL, HALF), AGREED),
    "both name it, whatever the full price": (Offer({}, HALF), Offer(FULL, HALF), AGREED),
    "inputs differ": (Offer(FULL, HALF), Offer(FULL, HALF | prices(input="1.5")), []),
    "outputs differ": (Offer(FULL, HALF), Offer(FULL, HALF | prices(output="7")), [{"input": "1"}]),
    "one names it, half of what both say": (Offer(FULL, HALF), Offer(FULL), AGREED),
    "one names it, not half": (Offer(FULL, prices(input="2", output="6")), Offer(FULL), []),
    "one names it, the full prices differ": (
        Offer(FULL, HALF),
        Offer(FULL | prices(input="3")),
        [],
    ),
    "one names it, the other knows nothing": (Offer(FULL, HALF), Offer(), []),
    "nobody names it": (Offer(FULL), Offer(FULL), []),
    "cached, both": (
        Offer(FULL, HALF | prices(cached="0.1")),
        Offer(FULL, HALF | prices(cached="0.1")),
        [AGREED[0] | {"cached": "0.1"}],
    ),
    "cached, they differ": (
        Offer(FULL, HALF | prices(cached="0.1")),
        Offer(FULL, HALF | prices(cached="0.2")),
        AGREED,
    ),
    "cached, one, half of what both say": (
        Offer(FULL | prices(cached="0.2"), HALF | prices(cached="0.1")),
        Offer(FULL | prices(cached="0.2")),
        AGREED,
    ),
    "pictures, both": (
        Offer(FULL, HALF | prices(output_IMAGE="60")),
        Offer(FULL, HALF | prices(output_IMAGE="60")),
        [{"input": "1", "output": {"*": "6", "IMAGE": "60"}}],
    ),
    "pictures, nobody's batch price": (
        Offer(FULL | prices(output_IMAGE="120"), HALF),
        Offer(FULL, HALF),
        [{"input": "1", "output": {"*": "6", "IMAGE": None}}],
    ),
    "audio at the price of text": (
        Offer(FULL | prices(input_AUDIO="2"), HALF),
        Offer(FULL, HALF),
        AGREED,
    ),
    "long prompts, both": (
        Offer(FULL, HALF | prices(long_input="2", long_output="9")),
        Offer(FULL, HALF | prices(long_input="2", long_output="9")),
        [AGREED[0] | {"long": {"input": "2", "output": "9"}}],
    ),
    "long prompts, one": (
        Offer(FULL, HALF),
        Offer(FULL | prices(long_input="4"), HALF),
        [AGREED[0] | {"long": {"input": None}}],
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_price_needs_two_witnesses(name: str) -> None:
    litellm, genai_prices, expected = SOURCES[name]
    assert agree_on(litellm, Dated(genai_prices)) == expected


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (Offer(prices(input="4", output="24"), FULL), {"input": "2", "output": "12"}),
        (
            Offer(prices(input="4", output="24")),
            {"input": None},
        ),  # it changes, and nobody says to what
        (Offer(prices(input="3", output="24"), FULL), {"input": None}),  # not half
    ],
)
def test_price_of_a_later_day_is_named_or_unknown(later: Offer, expected: dict[str, Any]) -> None:
    now = Offer(FULL, HALF)
    assert agree_on(now, Dated(now, {"2027-01-01": later})) == [
        *AGREED,
        {"from": "2027-01-01", **expected},
    ]
    assert agree_on(now, Dated(now, {"2027-01-01": Offer(FULL)})) == AGREED  # it has another reason


def test_litellm_is_read_exactly() -> None:
    entry = {
        "input_cost_per_token": Decimal("7.5E-7"),
        "input_cost_per_token_batches": Decimal("3.75E-7"),
        "input_cost_per_token_above_200k_tokens_batches": Decimal("7.5E-7"),
        "output_cost_per_image_token_batches": Decimal("3E-5"),
        "output_cost_per_token": 0,
        "mode": "chat",
    }
    batch = prices(input="0.375", long_input="0.75", output_IMAGE="30")
    assert read_litellm(entry) == Offer(prices(input="0.75"), batch)


@dataclass
class Constraint:
    start_date: date


@dataclass
class Tier:
    start: int
    price: Decimal


@dataclass
class Tiered:
    base: Decimal
    tiers: list[Tier]


@dataclass
class ModelPrice:
    input_mtok: Any = None
    output_mtok: Any = None


@dataclass
class Variant:
    prices: ModelPrice
    constraint: Constraint | None = None
    when: dict[str, str] = field(default_factory=lambda: {"processing": "batch"})


@dataclass
class Model:
    """In the form of genai-prices' own, whose `get_prices` gives the full price where no variant holds."""

    id: str
    prices: Any
    price_variants: list[Variant] | None = None

    def is_match(self, name: str) -> bool:
        return name.startswith(self.id)

    def get_prices(self, moment: datetime, context: dict[str, str] | None = None) -> ModelPrice:
        assert moment.tzinfo is UTC
        for variant in self.price_variants or () if context else ():
            if variant.constraint is None or variant.constraint.start_date <= moment.date():
                return variant.prices
        found: ModelPrice = self.prices
        return found


def test_genai_prices_without_a_batch_variant_names_no_batch_price() -> None:
    model = Model("m", ModelPrice(Decimal(2), Decimal(12)))
    assert read_genai_prices([model], "m-1", TODAY) == Dated(Offer(FULL))
    assert read_genai_prices([model], "other", TODAY) is None


def test_genai_prices_are_read_day_by_day() -> None:
    later, now = ModelPrice(Decimal(2)), ModelPrice(Decimal(1), Decimal(6))
    variants = [
        Variant(later, Constraint(date(2027, 1, 1))),
        Variant(now, Constraint(date(2026, 10, 14))),
    ]
    other = Variant(later, when={"service_tier": "flex"})
    found = read_genai_prices(
        [Model("m", ModelPrice(Decimal(2), Decimal(12)), [*variants, other])], "m", TODAY
    )
    assert found == Dated(Offer(FULL, HALF), {"2027-01-01": Offer(FULL, prices(input="2"))})


def test_tiers_of_another_length_are_no_price() -> None:
    def tiered(start: int) -> Model:
        return Model("m", ModelPrice(Tiered(Decimal(1), [Tier(start, Decimal(2))]), Decimal(6)))

    assert read_genai_prices([tiered(LONG_PROMPT_TOKENS)], "m", TODAY) == Dated(
        Offer(prices(input="1", output="6", long_input="2"))
    )
    assert read_genai_prices([tiered(128_000)], "m", TODAY) == Dated(Offer(prices(output="6")))


def test_tables_are_as_they_were_made() -> None:
    """Nobody edited them: what is not in the packages belongs into PRICES_FILE, or into receiver/outputs/models.py."""
    tables = read_tables()
    assert render_prices(tables[PRICES]) == PRICES.read_text()
    assert render_models(tables[MODELS]) == MODELS.read_text()
    assert all(
        "litellm " in table["source"] and "genai-prices " in table["source"]
        for table in tables.values()
    )


def test_no_alias_has_a_price() -> None:
    assert [name for name in default_prices().models if "latest" in name] == []


@pytest.mark.parametrize(("age", "old"), [(0, 0), (30, 0), (31, 2), (400, 2)])
def test_old_tables_are_named(age: int, old: int) -> None:
    day = date.fromordinal(TODAY.toordinal() - age).isoformat()
    said = find_old({PRICES: {"date": day}, MODELS: {"date": day}}, TODAY)
    assert len(said) == old
    assert all(f"is {age} days old, more than 30: make it anew" in one for one in said)


def test_age_of_the_tables_at_hand_is_told() -> None:
    """As a warning: time alone fails no test. `python -m deploy.prices --check` does, before a release."""
    for old in find_old(read_tables(), datetime.now(UTC).date()):
        warnings.warn(old, stacklevel=1)
