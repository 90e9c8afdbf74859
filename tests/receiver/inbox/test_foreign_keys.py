"""What another program wrote to our keys in Redis, or spoilt there, keeps no batch from its way."""

import pytest
import redis

from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import BURIED_TTL_S, DONE_TTL_S, Arrival, Inbox, Lease
from receiver.inbox.redis import (
    BURIED,
    DELIVERIES,
    DONE,
    DUE,
    ENTRY,
    FENCE,
    NOTICE,
    NOTICE_QUEUE,
    RECONCILE,
    Scripts,
)
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import Message
from receiver.notices.queue import NoticeQueue
from receiver.recovery.reconcile_lock import ReconcileLock

BATCH, TARGET = "batches/abc", "0123456789ab"
MESSAGE = Message("receiver.test", {})


@pytest.fixture
def inbox(client: "redis.Redis") -> Inbox:
    return Inbox(client)


def accept(inbox: Inbox, delivery_id: str = "") -> bool:
    (is_opened,) = inbox.accept([Arrival(BATCH, "batch.succeeded", "static", delivery_id)])
    return is_opened


def claim(inbox: Inbox) -> Lease:
    accept(inbox)
    lease = inbox.claim(BATCH)
    assert lease is not None
    return lease


def test_text_in_the_place_of_an_entry_makes_room(inbox: Inbox, client: "redis.Redis") -> None:
    client.set(ENTRY + BATCH, "x")
    assert accept(inbox)
    assert inbox.entries([BATCH])[BATCH].state == "open"


def test_text_in_the_place_of_the_log_stops_no_delivery(
    inbox: Inbox, client: "redis.Redis"
) -> None:
    client.set(DELIVERIES, "x")
    assert accept(inbox, "msg_1")
    assert not accept(inbox, "msg_1")


def test_text_in_the_place_of_the_buried_makes_room(inbox: Inbox, client: "redis.Redis") -> None:
    client.set(BURIED, "x")
    inbox.bury(claim(inbox), "no such batch")
    assert client.zrange(BURIED, 0, -1) == [BATCH.encode()]
    assert client.ttl(BURIED) == BURIED_TTL_S


def test_text_in_the_place_of_the_done_makes_room(inbox: Inbox, client: "redis.Redis") -> None:
    client.set(DONE, "x")
    assert inbox.finish(claim(inbox), Summary())
    assert client.zrange(DONE, 0, -1) == [BATCH.encode()]
    assert client.ttl(DONE) == DONE_TTL_S


def test_text_in_the_place_of_the_last_token_is_no_token(
    inbox: Inbox, client: "redis.Redis"
) -> None:
    client.set(FENCE, "x")
    token = claim(inbox).token
    assert client.get(FENCE) == token.encode()


def test_lists_of_what_is_due_are_empty_where_it_is_none(client: "redis.Redis") -> None:
    client.set(DUE, "x")
    scripts = Scripts(client, ("due_in_state", "outages"))
    assert scripts.run("due_in_state", "open", 0, 9) == [0, []]
    assert scripts.run("outages", 0, 9) == [0, [0, b"", b""], [0, b"", b""]]


def test_sweep_forgets_what_is_no_entry(inbox: Inbox, client: "redis.Redis") -> None:
    client.zadd(DUE, {"text": 1, "without state": 2, "without time": 3, "gone": 4, "of junk": 5})
    client.set(f"{ENTRY}text", "x")
    client.hset(f"{ENTRY}without state", "x", "y")
    client.hset(f"{ENTRY}without time", "state", "open")
    client.hset(f"{ENTRY}of junk", mapping={"state": "open", "rung_until": "soon"})
    assert inbox.take_due() == ["without time", "of junk"]
    assert client.zrange(DUE, 0, -1) == [b"without time", b"of junk"]


def test_sweep_leaves_strange_entries_far_ahead(inbox: Inbox, client: "redis.Redis") -> None:
    far = {"text": 9e15, "junk": 9e15, "gone": 9e15}
    client.zadd(DUE, far)
    client.set(f"{ENTRY}text", "x")
    client.hset(f"{ENTRY}junk", mapping={"state": "open", "changed": "soon"})
    assert inbox.take_due() == []
    assert client.zrange(DUE, 0, -1, withscores=True) == [
        (name.encode(), score) for name, score in sorted(far.items())
    ]


def test_text_in_the_place_of_the_reconcile_lock_makes_room(client: "redis.Redis") -> None:
    client.set(RECONCILE, "x")
    run = ReconcileLock(client, 900).acquire()
    assert run is not None
    assert (run.complete_ms, run.first_ms) == (None, run.began_ms)


def test_junk_in_the_reconcile_lock_holds_up_no_run(client: "redis.Redis") -> None:
    names = ("began", "held_until", "complete", "failed")
    client.hset(RECONCILE, mapping=dict.fromkeys(names, "x"))
    run = ReconcileLock(client, 900).acquire()
    assert run is not None
    assert (run.complete_ms, run.first_ms) == (None, run.began_ms)


def test_text_in_the_place_of_a_queue_makes_room(client: "redis.Redis") -> None:
    client.set(NOTICE_QUEUE + TARGET, "x")
    Outbox(client, [TARGET]).enqueue(BATCH, MESSAGE)
    notice = NoticeQueue(client, TARGET).claim()
    assert notice is not None
    assert notice.batch == BATCH


def test_strange_notices_are_dropped(client: "redis.Redis") -> None:
    key = NOTICE_QUEUE + TARGET
    names = [f"{TARGET}/{name}" for name in ("text", "untyped", "gone")]
    client.zadd(key, dict.fromkeys(names, 1))
    client.set(NOTICE + names[0], "x")
    client.hset(NOTICE + names[1], "batch", BATCH)
    Outbox(client, [TARGET]).enqueue(BATCH, MESSAGE)
    notice = NoticeQueue(client, TARGET).claim()
    assert notice is not None
    assert client.zrange(key, 0, -1) == [notice.name.encode()]
