"""What the page shows of the last day, week or month: charts, and what was spent on which model."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import redis

from receiver.outputs.outcomes import ANSWERED, OUTCOMES
from receiver.status.charts import Chart, Scale, Series, draw
from receiver.status.formatting import dollars
from receiver.telemetry.metrics.definitions import ModelCost, Slot
from receiver.telemetry.metrics.history import Range, fetch_history

MAX_MODELS = 50  # of the table
MAX_DAYS = 200  # rows of the table by days
ANSWERS = Series(
    "answers",
    "good",
    tuple(f"gbr_results_total:{one}" for one in OUTCOMES if one in ANSWERED),
)
WITHOUT_ANSWER = Series(
    "without an answer",
    "bad",
    (
        *(f"gbr_results_total:{one}" for one in OUTCOMES if one not in ANSWERED),
        "gbr_missing_results_total",
    ),
)
STORED = Series("stored", "good", ("gbr_attempts_total:stored",))
FAILED = Series(
    "failed",
    "bad",
    tuple(f"gbr_attempts_total:{result}" for result in ("postponed", "lease_lost", "buried")),
)
SPENT = Series("spent", "plain", measure=lambda slot: float(add_up(slot.costs.values()).dollars))
CHARTS = (
    ("Results stored", ANSWERS, WITHOUT_ANSWER),
    ("Attempts at batches", STORED, FAILED),
)
MONEY = Scale(
    words=lambda value: dollars(Decimal(repr(value))),
    axis=lambda value: f"${value:.3g}" if value else "$0",
    is_whole=False,
)


@dataclass(frozen=True)
class ModelSpending:
    """What the batches of one model cost."""

    model: str
    cost: ModelCost


@dataclass(frozen=True)
class DaySpending:
    """What the batches of one model cost that were stored on one day of UTC."""

    day: str  # "2026-01-31"
    model: str
    cost: ModelCost


@dataclass(frozen=True)
class History:
    """One range of time."""

    span: Range
    charts: list[Chart]
    models: list[ModelSpending]  # the dearest first
    days: list[DaySpending]  # the newest first
    total: ModelCost


def read_history(client: "redis.Redis", span: Range) -> History:
    """Raises InboxUnavailableError."""
    slots = fetch_history(client, span)
    charts = [draw(title, slots, series, span.name) for title, *series in CHARTS]
    models = _sum_by_model(slots)
    return History(
        span=span,
        charts=[*charts, draw("Cost", slots, [SPENT], span.name, MONEY)],
        models=models[:MAX_MODELS],
        days=_sum_by_day(slots)[:MAX_DAYS],
        total=add_up(one.cost for one in models),
    )


def add_up(costs: Iterable[ModelCost]) -> ModelCost:
    return sum(costs, ModelCost())


def _sum_by_model(slots: Sequence[Slot]) -> list[ModelSpending]:
    found = defaultdict[str, ModelCost](ModelCost)
    for slot in slots:
        for model, cost in slot.costs.items():
            found[model] += cost
    rows = [ModelSpending(model, cost) for model, cost in found.items()]
    return sorted(rows, key=lambda row: (-row.cost.dollars, -row.cost.batches, row.model))


def _sum_by_day(slots: Sequence[Slot]) -> list[DaySpending]:
    found = defaultdict[tuple[str, str], ModelCost](ModelCost)
    for slot in slots:
        day = datetime.fromtimestamp(slot.began_s, UTC).strftime("%Y-%m-%d")
        for model, cost in slot.costs.items():
            found[day, model] += cost
    rows = [DaySpending(day, model, cost) for (day, model), cost in found.items()]
    rows.sort(key=lambda row: (-row.cost.dollars, row.model))
    return sorted(rows, key=lambda row: row.day, reverse=True)
