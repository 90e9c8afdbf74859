"""What one answer cost, exact and fast: most answers are text, whose price needs no search."""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from receiver.outputs.manifest import Cost
from receiver.outputs.prices import LONG_PROMPT_TOKENS, Price, Prices
from workers.results.cost import price_batch
from workers.results.meter import UsageMeter
from workers.results.rules import Result
from workers.results.usages import find_doubt

MILLION = Decimal(1_000_000)
DAY = len("2026-01-31")


LineCost = Callable[[Result], Decimal | None]  # in US dollars; None: not known


def cost_of_lines(prices: Prices, batch_model: str | None, ended: str | None) -> LineCost:
    """The costs of the results of a batch of `batch_model` that ended then (RFC 3339)."""
    day = (ended or "")[:DAY]

    @lru_cache(maxsize=64)
    def find(model: str) -> Price | None:
        return prices.find(model, day) if day else None

    def cost(result: Result) -> Decimal | None:
        if not result.billed:
            return Decimal(0)
        usage, model = result.usage, result.model or batch_model
        if usage is None or model is None:
            return None
        price = find(model)
        if (
            price is not None
            and isinstance(price.input, Decimal)
            and isinstance(price.output, Decimal)
            and usage.prompt
            and usage.candidates is not None
            and usage.prompt <= LONG_PROMPT_TOKENS
            and not (usage.cached or usage.cached_details or usage.tool_use_prompt)
            and find_doubt(usage) is None
        ):
            spoken = usage.candidates + usage.thoughts
            return (usage.prompt * price.input + spoken * price.output) / MILLION
        return _price_alone(prices, batch_model, ended, result)

    return cost


def _price_alone(
    prices: Prices, batch_model: str | None, ended: str | None, result: Result
) -> Decimal | None:
    """By the rules for a whole batch, as if the result were its only one."""
    meter = UsageMeter()
    meter.add([result])
    found = price_batch(prices, batch_model, ended, meter.metered(), 0)
    return Decimal(found.amount) if isinstance(found, Cost) else None
