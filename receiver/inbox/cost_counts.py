"""What stored batches cost, by model, as the step that ends each counts it. Pure.

The sums are whole picodollars, so that they stay exact: a token costs no less.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

PICODOLLARS = 10**12  # in a dollar
MAX_PICODOLLARS = 10**18  # one batch costs less, and Redis adds up 64 bits
MAX_MODEL = 100  # characters
OTHER = "other"  # models that had no more room in their hash
COST, BATCHES, UNPRICED = "gbr_cost:", "gbr_batches:", "gbr_unpriced:"  # and a model


@dataclass(frozen=True)
class ModelCost:
    """What the batches of one model cost."""

    dollars: Decimal = Decimal(0)  # of those whose cost is known
    batches: int = 0  # all that were stored
    unpriced: int = 0  # of these: nobody knows what they cost

    def __add__(self, other: Self) -> "ModelCost":
        return ModelCost(
            self.dollars + other.dollars,
            self.batches + other.batches,
            self.unpriced + other.unpriced,
        )


def encode_cost(model: str | None, dollars: Decimal | None) -> str:
    """A batch's cost as the scripts count it; None where it is not known.

    >>> encode_cost("models/gemini-3.5-flash", Decimal("0.25"))
    'gemini-3.5-flash 250000000000'
    >>> encode_cost(None, None)
    'unknown unknown'
    """
    text = (model or "unknown").removeprefix("models/")[:MAX_MODEL]
    name = "".join(one if "!" <= one <= "~" else "_" for one in text) or "unknown"
    picodollars = None if dollars is None else round(dollars * PICODOLLARS)
    if picodollars is None or not 0 <= picodollars <= MAX_PICODOLLARS:
        return f"{name} unknown"
    return f"{name} {picodollars}"


def read_costs(row: object) -> dict[str, ModelCost]:
    """The costs in a hash as redis-py returns it; what is none is left out."""
    found = dict[str, ModelCost]()
    for name, text in row.items() if isinstance(row, Mapping) else ():
        kind, colon, model = name.decode(errors="replace").partition(":")
        if kind + colon in {COST, BATCHES, UNPRICED} and text.isdigit():
            found[model] = found.get(model, ModelCost()) + _read(kind + colon, int(text))
    return found


def _read(kind: str, value: int) -> ModelCost:
    match kind:
        case "gbr_cost:":
            return ModelCost(dollars=Decimal(value) / PICODOLLARS)
        case "gbr_batches:":
            return ModelCost(batches=value)
        case _:
            return ModelCost(unpriced=value)
