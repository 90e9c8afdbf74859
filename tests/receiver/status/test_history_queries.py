"""What the page says of a day, a week and a month, from a real Valkey."""

from decimal import Decimal
from typing import Any

import redis

from receiver.inbox.redis import TREND
from receiver.outputs.outcomes import OUTCOMES
from receiver.status.history_queries import CHARTS, MAX_MODELS, read_history
from receiver.telemetry.metrics.definitions import DAY_S, TREND_S, ModelCost, encode_cost
from receiver.telemetry.metrics.history import DAY, MONTH, WEEK, count_cost
from tests.receiver.inbox.test_queries import fill

PICO = 10**12


def spend(client: "redis.Redis", day: int, hour: int, model: str, *dollars: int | None) -> None:
    """So many batches on a day of Unix time; None: the cost is not known."""
    key = f"{TREND}:{(day * DAY_S + hour * 3600) // TREND_S}"
    known = [one for one in dollars if one is not None]
    fields: dict[Any, Any] = {
        f"gbr_batches:{model}": len(dollars),
        f"gbr_cost:{model}": sum(known) * PICO,
        f"gbr_unpriced:{model}": len(dollars) - len(known),
    }
    client.hset(key, mapping=fields)


def test_failed_request_is_no_answer() -> None:
    (_, good, bad), _ = CHARTS
    assert good.fields == ("gbr_results_total:ok",)
    every = {*(f"gbr_results_total:{outcome}" for outcome in OUTCOMES), "gbr_missing_results_total"}
    assert {*good.fields, *bad.fields} == every


def test_attempts_are_counted_in_every_range(client: "redis.Redis") -> None:
    fill(client)
    for span in (DAY, WEEK, MONTH):
        attempts = read_history(client, span).charts[1]
        assert [total.count for total in attempts.totals] == [1, 1]
        assert attempts.summary.startswith(f"In the last {span.name}: 1 stored, 1 failed.")


def test_spending_is_summed_by_model_and_by_day(client: "redis.Redis") -> None:
    today = int(client.time()[0]) // DAY_S
    spend(client, today - 2, 0, "flash", 1, 2)
    spend(client, today - 2, 21, "flash", 4)
    spend(client, today - 2, 21, "pro", 30, None)
    spend(client, today - 1, 3, "flash", 5)
    spend(client, today - 40, 3, "flash", 99)
    found = read_history(client, MONTH)
    assert [(row.model, row.cost) for row in found.models] == [
        ("pro", ModelCost(Decimal(30), 2, 1)),
        ("flash", ModelCost(Decimal(12), 4)),
    ]
    assert [(row.model, row.cost) for row in found.days] == [
        ("flash", ModelCost(Decimal(5), 1)),
        ("pro", ModelCost(Decimal(30), 2, 1)),
        ("flash", ModelCost(Decimal(7), 3)),
    ]
    assert found.days[0].day > found.days[1].day == found.days[2].day
    assert found.total == ModelCost(Decimal(42), 6, 1)
    cost = found.charts[2]
    assert cost.summary.startswith("In the last month: $42.00 spent. Most of it on ")
    assert cost.summary.endswith(" UTC: $37.00.")
    assert [tick.label for tick in cost.heights] == ["$0", "$20", "$40"]
    assert [row.words for row in cost.rows] == [("$37.00",), ("$5.00",)]


def test_small_costs_are_seen(client: "redis.Redis") -> None:
    count_cost(client, "batches/a", encode_cost("flash", Decimal("0.00031")))
    (cost,) = (one for one in read_history(client, DAY).charts if one.title == "Cost")
    assert [tick.label for tick in cost.heights] == ["$0", "$0.0002", "$0.0004"]
    assert [total.words for total in cost.totals] == ["$0.00031"]


def test_tables_are_short_however_many_models_there_are(client: "redis.Redis") -> None:
    for number in range(MAX_MODELS + 5):
        count_cost(client, f"batches/{number}", encode_cost(f"m{number}", Decimal(number)))
    found = read_history(client, DAY)
    assert len(found.models) == MAX_MODELS
    assert found.models[0].model == f"m{MAX_MODELS + 4}"
    assert found.total.batches == MAX_MODELS + 5
