"""What was counted in the last day, week and month, in a real Valkey."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import redis

from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Arrival, Inbox, Lease
from receiver.inbox.redis import HISTORY, TREND
from receiver.telemetry.metrics import definitions
from receiver.telemetry.metrics.counters import Counters, read_costs
from receiver.telemetry.metrics.definitions import (
    DAY_S,
    SLOT_S,
    TREND_S,
    ModelCost,
    Slot,
    encode_cost,
)
from receiver.telemetry.metrics.history import (
    DAY,
    MONTH,
    WEEK,
    Range,
    count_cost,
    fetch_history,
)

EACH_RANGE = pytest.mark.parametrize("span", [DAY, WEEK, MONTH], ids=lambda one: one.name)
FLASH = "models/gemini-3.5-flash"


def totals(slots: list[Slot], *fields: str) -> float:
    return sum(slot.total(*fields) for slot in slots)


def cost_of(slots: list[Slot], model: str) -> ModelCost:
    return sum((slot.costs.get(model, ModelCost()) for slot in slots), ModelCost())


def leased(client: "redis.Redis", batch: str) -> Lease:
    inbox = Inbox(client)
    inbox.accept([Arrival(batch, "batch.succeeded", "replay")])
    lease = inbox.claim(batch)
    assert lease is not None
    return lease


@EACH_RANGE
def test_counts_and_ends_are_in_the_running_slot(client: "redis.Redis", span: Range) -> None:
    counters = Counters(client)
    Inbox(client).finish(leased(client, "batches/a"), Summary())
    counters.add(definitions.RESULTS, "ok", amount=7)
    counters.add(definitions.RESULTS, "error", amount=2)
    counters.observe(definitions.STAGES, 1.5, "ask")
    assert counters.flush()
    slots = fetch_history(client, span)
    assert len(slots) == span.slots
    assert {after.began_s - before.began_s for before, after in pairwise(slots)} == {span.slot_s}
    last = slots[-2:]  # the slot may have ended meanwhile
    assert totals(last, "gbr_attempts_total:stored") == 1
    assert totals(last, "gbr_results_total:") == 9
    assert totals(last, "gbr_results_total:ok", "gbr_results_total:error") == 9
    assert totals(last, "gbr_stage_duration_seconds:") == 0
    assert totals(slots[:-2], "gbr_") == 0


def test_month_adds_up_the_days_of_utc(client: "redis.Redis") -> None:
    today = int(client.time()[0]) // DAY_S
    for hours in (0, 3, 21):
        number = (today - 2) * DAY_S // TREND_S + hours // 3
        fields: dict[Any, Any] = {
            "gbr_missing_results_total": 1,
            "gbr_cost:flash": 1,
            "gbr_batches:flash": 1,
        }
        client.hset(f"{TREND}:{number}", mapping=fields)
    client.hset(f"{TREND}:{(today - 1) * DAY_S // TREND_S}", "gbr_missing_results_total", "5")
    slots = {slot.began_s: slot for slot in fetch_history(client, MONTH)}
    found = slots[(today - 2) * DAY_S]
    assert found.total("gbr_missing_results_total") == 3
    assert found.costs == {"flash": ModelCost(Decimal(3) / 10**12, 3)}
    assert slots[(today - 1) * DAY_S].total("gbr_missing_results_total") == 5


def test_day_adds_up_whatever_its_hashes_hold(client: "redis.Redis") -> None:
    yesterday = (int(client.time()[0]) // DAY_S - 1) * DAY_S // TREND_S
    spoilt: dict[Any, Any] = {"x": "nan", "y": "9" * 400, "z": "junk", "gbr_cost:flash": 2**53 + 1}
    client.hset(f"{TREND}:{yesterday}", mapping=spoilt | {"gbr_seconds_total": 0.25})
    client.hset(f"{TREND}:{yesterday + 1}", mapping={"x": 1, "z": 2, "gbr_seconds_total": 3})
    client.hset(f"{TREND}:{yesterday + 2}", mapping={"gbr_cost:flash": 2**53 + 2})
    client.set(f"{TREND}:{yesterday + 3}", "junk")
    found = fetch_history(client, MONTH)[-2]
    assert found.counts["gbr_seconds_total"] == 3.25
    assert (found.counts["x"], found.counts["z"], "y" in found.counts) == (1, 2, False)
    assert found.costs["flash"].dollars * 10**12 == 2**54 + 3


def test_slots_are_gone_after_their_range(client: "redis.Redis") -> None:
    counters = Counters(client)
    counters.add(definitions.MISSING)
    assert counters.flush()
    count_cost(client, "batches/flex", encode_cost(FLASH, Decimal(1)))
    (half_hour,) = client.scan_iter(f"{HISTORY}:*")
    (three_hours,) = client.scan_iter(f"{TREND}:*")
    assert DAY.slots * SLOT_S < client.ttl(half_hour) <= 26 * 3600
    assert MONTH.slots * DAY_S < client.ttl(three_hours) <= 32 * DAY_S


def test_cost_counts_once_and_exactly_when_the_batch_ends(client: "redis.Redis") -> None:
    inbox, lease = Inbox(client), leased(client, "batches/a")
    dollars = Decimal("9007.199254740993")  # more digits than a double has
    inbox.record(lease, "cost", encode_cost(FLASH, dollars))
    inbox.record(lease, "cost", encode_cost(FLASH, dollars))
    assert cost_of(fetch_history(client), "gemini-3.5-flash") == ModelCost()
    assert inbox.finish(lease, Summary())
    assert not inbox.finish(lease, Summary())  # its answer was lost
    inbox.finish(leased(client, "batches/b"), Summary())  # found stored: it was counted before
    other = leased(client, "batches/c")
    inbox.record(other, "cost", encode_cost(FLASH, None))
    inbox.finish(other, Summary())
    for span in (DAY, WEEK, MONTH):
        found = cost_of(fetch_history(client, span), "gemini-3.5-flash")
        assert found == ModelCost(dollars, 2, 1)
    assert client.hget("gbr:entry:batches/a", "cost") is None


def test_cost_of_a_worker_that_died_is_counted_by_the_next(client: "redis.Redis") -> None:
    """It wrote the manifest; the next one finds that and has nothing to record."""
    inbox, lease = Inbox(client), leased(client, "batches/a")
    inbox.record(lease, "cost", encode_cost(FLASH, Decimal("0.5")))
    inbox.release(lease, "its worker was shut down")
    again = inbox.claim("batches/a")
    assert again is not None
    inbox.finish(again, Summary())
    assert cost_of(fetch_history(client), "gemini-3.5-flash") == ModelCost(Decimal("0.5"), 1)


def test_cost_without_an_entry_counts_once(client: "redis.Redis") -> None:
    for batch in ("batches/flex-1", "batches/flex-2", "batches/flex-1"):
        count_cost(client, batch, encode_cost(FLASH, Decimal(2)))
    assert cost_of(fetch_history(client), "gemini-3.5-flash") == ModelCost(Decimal(4), 2)
    (marks,) = {client.ttl(key) // DAY_S for key in client.scan_iter("gbr:counted:*")}
    assert marks in {31, 32}


def test_models_without_room_are_others(client: "redis.Redis") -> None:
    """Whatever Gemini calls its models: the hashes stay small."""
    number = int(client.time()[0]) // SLOT_S
    full: dict[Any, Any] = {f"f{one}": 1 for one in range(998)}
    full |= {"gbr_batches:old": 1, "gbr_cost:old": 10**12}
    for now in (number, number + 1):
        client.hset(f"{HISTORY}:{now}", mapping=full)
    count_cost(client, "batches/2", encode_cost("old", Decimal(1)))
    count_cost(client, "batches/3", encode_cost("new", Decimal(3)))
    count_cost(client, "batches/4", encode_cost("newer", None))
    slots = fetch_history(client)
    assert cost_of(slots, "other") == ModelCost(Decimal(3), 2, 1)
    assert cost_of([slot for slot in slots if "other" in slot.costs], "old").batches == 2
    assert cost_of(slots, "new") == ModelCost()
    assert cost_of(fetch_history(client, WEEK), "new") == ModelCost(Decimal(3), 1)


def test_spoilt_cost_holds_up_no_batch(client: "redis.Redis") -> None:
    for spoilt in ("", "nothing", "flash 12x", "flash 99999999999999999999", "a b c"):
        lease = leased(client, f"batches/{len(spoilt)}")
        client.hset(f"gbr:entry:{lease.batch}", "cost", spoilt)
        assert Inbox(client).finish(lease, Summary())
    found = cost_of(fetch_history(client), "flash")
    assert (found.dollars, found.unpriced) == (Decimal(0), 0)


def test_history_has_what_an_older_version_buried(client: "redis.Redis") -> None:
    number = int(client.time()[0]) // SLOT_S
    counts: dict[Any, Any] = {"gbr_dead_letters_total": 3, "gbr_buried_batches_total": 2}
    client.hset(f"{HISTORY}:{number - 2}", mapping=counts)
    assert totals(fetch_history(client), "gbr_buried_batches_total") == 5


def test_spoilt_slot_is_empty(client: "redis.Redis") -> None:
    number = int(client.time()[0]) // SLOT_S
    for spoilt in (number - 1, number, number + 1):
        client.set(f"{HISTORY}:{spoilt}", "junk")
    client.set(f"{TREND}:{number * SLOT_S // TREND_S}", "junk")
    client.hset(
        f"{HISTORY}:{number - 2}", mapping={b"\xff": 1, "gbr_missing_results_total": "nan", "x": 3}
    )
    counters = Counters(client)
    counters.add(definitions.MISSING)
    assert counters.flush()
    count_cost(client, "batches/flex", encode_cost(FLASH, Decimal(1)))
    slots = fetch_history(client)
    assert totals(slots, "gbr_missing_results_total") == 0
    assert totals(slots, "x") == 3


@pytest.mark.parametrize(
    ("model", "dollars", "encoded"),
    [
        ("models/gemini-3.5-flash", Decimal("0.000043719"), "gemini-3.5-flash 43719000"),
        ("tuned model\nof 日本", Decimal(0), "tuned_model_of___ 0"),
        ("models/" + "m" * 300, Decimal(1), "m" * 100 + f" {10**12}"),
        ("models/", Decimal(10**7), "unknown unknown"),
        (None, Decimal(-1), "unknown unknown"),
    ],
)
def test_cost_is_two_words(model: str | None, dollars: Decimal, encoded: str) -> None:
    assert encode_cost(model, dollars) == encoded


def test_what_is_no_cost_is_left_out() -> None:
    row = {b"gbr_cost:a": b"x", b"gbr_cost": b"1", b"gbr_batches:b": b"2", b"\xff:a": b"1"}
    assert read_costs(row) == {"b": ModelCost(batches=2)}
    assert read_costs(ValueError("WRONGTYPE")) == {}
