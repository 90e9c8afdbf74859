"""The counters of the last day, in a real Valkey."""

from typing import Any

import redis

from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import HISTORY
from receiver.telemetry.metrics import definitions
from receiver.telemetry.metrics.counters import Counters
from receiver.telemetry.metrics.definitions import SLOT_S, Slot
from receiver.telemetry.metrics.history import SLOTS, fetch_history


def totals(slots: list[Slot], *fields: str) -> float:
    return sum(slot.total(*fields) for slot in slots)


def test_counts_and_ends_are_in_the_running_half_hour(client: "redis.Redis") -> None:
    inbox, counters = Inbox(client), Counters(client)
    inbox.accept([Arrival("batches/a", "batch.succeeded", "replay")])
    lease = inbox.claim("batches/a")
    assert lease is not None
    inbox.finish(lease, Summary())
    counters.add(definitions.RESULTS, "ok", amount=7)
    counters.add(definitions.RESULTS, "error", amount=2)
    counters.observe(definitions.STAGES, 1.5, "ask")
    assert counters.flush()
    slots = fetch_history(client)
    assert len(slots) == SLOTS
    last = slots[-2:]  # the half hour may have ended meanwhile
    assert totals(last, "gbr_attempts_total:stored") == 1
    assert totals(last, "gbr_results_total:") == 9
    assert totals(last, "gbr_results_total:ok", "gbr_results_total:error") == 9
    assert totals(last, "gbr_stage_duration_seconds:") == 0
    assert totals(slots[:-2], "gbr_") == 0


def test_half_hours_are_gone_after_the_day(client: "redis.Redis") -> None:
    counters = Counters(client)
    counters.add(definitions.MISSING)
    assert counters.flush()
    kept = list(client.scan_iter(f"{HISTORY}:*"))
    assert len(kept) == 1
    assert SLOTS * SLOT_S < client.ttl(kept[0]) <= 26 * 3600


def test_history_has_what_an_older_version_buried(client: "redis.Redis") -> None:
    number = int(client.time()[0]) // SLOT_S
    counts: dict[Any, Any] = {"gbr_dead_letters_total": 3, "gbr_buried_batches_total": 2}
    client.hset(f"{HISTORY}:{number - 2}", mapping=counts)
    assert totals(fetch_history(client), "gbr_buried_batches_total") == 5


def test_spoilt_half_hour_is_empty(client: "redis.Redis") -> None:
    number = int(client.time()[0]) // SLOT_S
    for spoilt in (number - 1, number, number + 1):
        client.set(f"{HISTORY}:{spoilt}", "junk")
    client.hset(
        f"{HISTORY}:{number - 2}", mapping={b"\xff": 1, "gbr_missing_results_total": "nan", "x": 3}
    )
    counters = Counters(client)
    counters.add(definitions.MISSING)
    assert counters.flush()
    slots = fetch_history(client)
    assert totals(slots, "gbr_missing_results_total") == 0
    assert totals(slots, "x") == 3
