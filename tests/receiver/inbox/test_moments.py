"""What happens at the very millisecond: the scripts by a clock that the test sets."""

from collections.abc import Iterator
from typing import Any

import pytest

from receiver.inbox.ledger import MAX_ATTEMPTS, Arrival, Inbox
from receiver.inbox.redis import (
    BURIED,
    DEAD_NOTICES,
    DONE,
    DUE,
    ENTRY,
    NOTICE_QUEUE,
    RECONCILE,
    Scripts,
)
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import Message
from receiver.notices.queue import NoticeQueue
from tests.model.clocked import ClockedRedis, clocked_client
from tests.stepped_clock import START_MS

BATCH, TARGET = "batches/abc", "0123456789ab"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PAUSE_MS, FAILED_PAUSE_MS, HOLD_MS = 900_000, 60_000, 180_000


@pytest.fixture
def clocked(redis_url: str) -> Iterator[ClockedRedis]:
    with clocked_client(redis_url) as client:
        client.on_call = lambda _: None
        client.set_clock(START_MS)
        yield client


@pytest.mark.parametrize(("back_ms", "is_due"), [(HOUR_MS, False), (HOUR_MS + 1, True)])
def test_clock_that_goes_back_by_more_than_an_hour_delays_nothing(
    clocked: ClockedRedis, back_ms: int, *, is_due: bool
) -> None:
    inbox = Inbox(clocked)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    now_ms = START_MS - back_ms
    clocked.set_clock(now_ms)
    assert inbox.take_due(0) == []
    moment = now_ms if is_due else START_MS
    assert clocked.zscore(DUE, BATCH) == moment
    grace_end = b"0" if is_due else b"%d" % (START_MS + 5000)
    assert clocked.hmget(ENTRY + BATCH, "changed", "rung_until") == [b"%d" % moment, grace_end]
    assert inbox.take_due() == ([BATCH] if is_due else [])


def test_claim_that_is_told_again_holds_the_batch_from_then_on(clocked: ClockedRedis) -> None:
    inbox = Inbox(clocked)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    first = inbox.claim(BATCH, lease_s=12, claim_id="c")
    clocked.set_clock(START_MS + 5_000)
    assert inbox.claim(BATCH, lease_s=12, claim_id="c") == first
    assert clocked.zscore(DUE, BATCH) == START_MS + 17_000


def test_a_batch_that_kills_its_workers_is_buried_as_its_own_fault(clocked: ClockedRedis) -> None:
    inbox = Inbox(clocked)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    for number in range(MAX_ATTEMPTS):
        assert inbox.claim(BATCH) is not None
        clocked.set_clock(START_MS + (number + 1) * 60_000)
    assert inbox.claim(BATCH) is None
    entry = inbox.entries([BATCH])[BATCH]
    assert (entry.state, entry.fault) == ("buried", "batch")
    assert entry.cause == "its worker died 5 times while it held this batch"


@pytest.mark.parametrize("times", [24, 25, 40])
def test_the_first_and_the_last_steps_of_a_batch_stay(clocked: ClockedRedis, times: int) -> None:
    inbox = Inbox(clocked)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    for number in range(times):
        lease = inbox.claim(BATCH)
        assert lease is not None
        inbox.release(lease, f"{number}")
    timeline: Any = clocked.hget(ENTRY + BATCH, "timeline")
    rows = timeline.decode().split("\n")
    steps = [
        step for number in range(times) for step in ("claimed attempt 1", f"handed_back {number}")
    ]
    assert [row.removeprefix(f"{START_MS} ") for row in rows] == [
        "accepted batch.succeeded static",
        *steps[-49:],
    ]


@pytest.mark.parametrize(("passed_ms", "is_due"), [(4_999, False), (5_000, True)])
def test_job_may_wait_for_its_grace(clocked: ClockedRedis, passed_ms: int, *, is_due: bool) -> None:
    inbox = Inbox(clocked)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    clocked.set_clock(START_MS + passed_ms)
    assert inbox.take_due() == ([BATCH] if is_due else [])


def test_what_lies_an_hour_ahead_is_looked_at_in_part(clocked: ClockedRedis) -> None:
    """A sweep takes no longer than it must: the next one looks at the rest."""
    names = [f"batches/{number}" for number in range(101)]
    inbox = Inbox(clocked)
    inbox.accept([Arrival(name, "batch.succeeded", "static") for name in names])
    clocked.set_clock(START_MS - 2 * HOUR_MS)
    assert [len(inbox.take_due()) for _ in range(3)] == [100, 1, 0]


@pytest.mark.parametrize(
    ("days", "key", "off_ms"), [(8, DONE, 0), (8, DONE, 1), (30, BURIED, 0), (30, BURIED, 1)]
)
def test_ended_batches_leave_the_lists_with_their_entries(
    clocked: ClockedRedis, days: int, key: str, off_ms: int
) -> None:
    clocked.zadd(key, {BATCH: START_MS - days * DAY_MS + off_ms})
    Inbox(clocked).take_due()
    assert clocked.zcard(key) == off_ms


@pytest.mark.parametrize("off_ms", [0, 1])
def test_dead_notices_leave_the_list_after_thirty_days(clocked: ClockedRedis, off_ms: int) -> None:
    clocked.zadd(DEAD_NOTICES, {f"{TARGET}/msg_1": START_MS - 30 * DAY_MS + off_ms})
    NoticeQueue(clocked, TARGET).claim()
    assert clocked.zcard(DEAD_NOTICES) == off_ms


def test_claim_of_a_notice_looks_at_a_hundred_names(clocked: ClockedRedis) -> None:
    """What is in a queue and nowhere else keeps Redis busy for that long."""
    Outbox(clocked, [TARGET]).enqueue(BATCH, Message("receiver.test", {}))
    clocked.zadd(NOTICE_QUEUE + TARGET, {f"{TARGET}/gone_{number}": 1 for number in range(100)})
    queue = NoticeQueue(clocked, TARGET)
    assert queue.claim() is None
    assert queue.claim() is not None


def test_one_target_hears_of_a_burial(clocked: ClockedRedis) -> None:
    inbox = Inbox(clocked, [TARGET])
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    lease = inbox.claim(BATCH)
    assert lease is not None
    inbox.bury(lease, "no such batch")
    notice = NoticeQueue(clocked, TARGET).claim()
    assert notice is not None
    assert (notice.type, notice.data["cause"]) == ("batch.buried", "no such batch")


def acquire(client: ClockedRedis, how: str = "due") -> list[bytes | int]:
    name = "acquire_reconcile_lock"
    args = ("mine", PAUSE_MS, FAILED_PAUSE_MS, HOLD_MS, how)
    reply: list[bytes | int] = Scripts(client, [name]).run(name, *args)
    return reply


@pytest.mark.parametrize(
    ("fields", "how", "word"),
    [
        ({"held_until": START_MS}, "due", b"acquired"),
        ({"held_until": START_MS + 1}, "now", b"held"),
        ({"held_until": START_MS + 2 * HOLD_MS}, "now", b"held"),
        ({"held_until": START_MS + 2 * HOLD_MS + 1}, "now", b"acquired"),
        ({"began": START_MS - PAUSE_MS}, "due", b"acquired"),
        ({"began": START_MS - PAUSE_MS + 1}, "due", b"early"),
        ({"began": START_MS - PAUSE_MS + 1}, "now", b"acquired"),
        ({"began": START_MS - PAUSE_MS + 1, "failed": 0}, "due", b"early"),
        ({"began": START_MS - FAILED_PAUSE_MS, "failed": 1}, "due", b"acquired"),
        ({"began": START_MS - FAILED_PAUSE_MS + 1, "failed": 1}, "due", b"early"),
        ({"began": START_MS + HOLD_MS}, "due", b"early"),
        ({"began": START_MS + HOLD_MS + 1}, "due", b"acquired"),
    ],
)
def test_turn_to_reconcile_comes_at_its_moment(
    clocked: ClockedRedis, fields: dict[Any, Any], how: str, word: bytes
) -> None:
    clocked.hset(RECONCILE, mapping=fields)
    assert acquire(clocked, how)[0] == word


@pytest.mark.parametrize("off_ms", [0, 1])
def test_last_complete_run_of_a_time_ahead_is_not_told(clocked: ClockedRedis, off_ms: int) -> None:
    complete = START_MS + HOLD_MS + off_ms
    clocked.hset(RECONCILE, mapping={"complete": complete, "first": 5, "unclear": "a b"})
    told = b"" if off_ms else b"%d" % complete
    assert acquire(clocked) == [b"acquired", START_MS, told, 5, b"a b"]
    assert clocked.hmget(RECONCILE, "holder", "held_until", "began", "failed") == [
        b"mine",
        b"%d" % (START_MS + HOLD_MS),
        b"%d" % START_MS,
        b"1",
    ]


def test_first_run_knows_of_none_before(clocked: ClockedRedis) -> None:
    assert acquire(clocked) == [b"acquired", START_MS, b"", START_MS, b""]


def test_first_run_may_lie_as_far_ahead_as_a_lock_is_held(clocked: ClockedRedis) -> None:
    first = START_MS + HOLD_MS
    clocked.hset(RECONCILE, mapping={"first": first})
    assert acquire(clocked)[3] == first


def test_claim_whose_answer_was_lost_gets_the_whole_lease_again(clocked: ClockedRedis) -> None:
    inbox = Inbox(clocked)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    clocked.hset(ENTRY + BATCH, mapping={"attempts": 2, "waits": 5})
    lost = inbox.claim(BATCH, 60, "mine")
    clocked.set_clock(START_MS + 1_000)
    assert inbox.claim(BATCH, 60, "mine") == lost
    assert clocked.zscore(DUE, BATCH) == START_MS + 61_000


def test_claim_forgets_what_was_said_to_the_last_worker(clocked: ClockedRedis) -> None:
    inbox = Inbox(clocked)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    said = ("again", "leaving", "progress")
    clocked.hset(ENTRY + BATCH, mapping=dict.fromkeys(said, "1"))
    assert inbox.claim(BATCH) is not None
    assert clocked.hmget(ENTRY + BATCH, *said) == [None, None, None]


def count_unattended(client: ClockedRedis) -> int:
    name = "look_for_unattended_notices"
    count: int = Scripts(client, [name], targets=[TARGET]).run(name)
    return count


@pytest.mark.parametrize(("ahead_ms", "count"), [(HOUR_MS, 0), (HOUR_MS + 1, 1)])
def test_sender_of_an_hour_ahead_attends_no_queue(
    clocked: ClockedRedis, ahead_ms: int, count: int
) -> None:
    Outbox(clocked, [TARGET]).enqueue(BATCH, Message("receiver.test", {}))
    clocked.set(f"{NOTICE_QUEUE}{TARGET}:served", START_MS + ahead_ms)
    assert count_unattended(clocked) == count


def test_notices_of_a_time_ahead_are_brought_back_in_part(clocked: ClockedRedis) -> None:
    """A look takes no longer than it must: the next one looks at the rest."""
    outbox = Outbox(clocked, [TARGET])
    for number in range(1001):
        outbox.enqueue(f"batches/{number}", Message("receiver.test", {}))
    clocked.set_clock(START_MS - 2 * HOUR_MS)
    assert [count_unattended(clocked) for _ in range(3)] == [1000, 1001, 1001]
