import pytest
import redis

from deploy.sandbox.processes import allocate_port
from receiver.errors import InboxUnavailableError
from receiver.inbox.delivery_log import (
    MAX_AT_ONCE,
    MAX_LOGGED,
    DeliveryLog,
    RejectedDelivery,
    fetch_deliveries,
)
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import DELIVERIES, REFUSALS, connect


def deliver(client: "redis.Redis", *ids: str) -> None:
    Inbox(client).accept(
        [Arrival("batches/abc", "batch.succeeded", "static", f"static:{one}") for one in ids]
    )


def test_accepted_and_known_are_logged(client: "redis.Redis") -> None:
    deliver(client, "msg_1", "msg_1", "msg_2")
    found = fetch_deliveries(client, 10)
    assert sorted((one.delivery_id, one.verdict) for one in found) == [
        ("msg_1", "accepted"),
        ("msg_1", "known"),
        ("msg_2", "known"),
    ]
    assert {(one.scheme, one.batch, one.event) for one in found} == {
        ("static", "batches/abc", "batch.succeeded")
    }


def test_replayed_batch_is_no_delivery(client: "redis.Redis") -> None:
    Inbox(client).accept([Arrival("batches/abc", "batch.succeeded", "replay")])
    assert fetch_deliveries(client, 10) == []


def test_log_of_deliveries_is_bounded(client: "redis.Redis") -> None:
    for start in range(0, 3 * MAX_LOGGED, 500):
        deliver(client, *(f"msg_{number}" for number in range(start, start + 500)))
    assert client.llen(DELIVERIES) == MAX_LOGGED
    assert fetch_deliveries(client, 1)[0].delivery_id == f"msg_{3 * MAX_LOGGED - 1}"


def test_notes_are_written_together(client: "redis.Redis") -> None:
    book = DeliveryLog(client)
    book.add(RejectedDelivery("refused", ":msg_1", cause="no signature fits"))
    book.add(RejectedDelivery("ignored", "static:msg_2", "video.generated"))
    book.flush()
    newest, oldest = fetch_deliveries(client, 10)
    assert {
        (one.verdict, one.scheme, one.delivery_id, one.event, one.cause) for one in (newest, oldest)
    } == {
        ("refused", "", "msg_1", "", "no signature fits"),
        ("ignored", "static", "msg_2", "video.generated", ""),
    }


def test_flood_costs_one_write_a_second(client: "redis.Redis") -> None:
    book = DeliveryLog(client)
    book.add(RejectedDelivery("refused", ":first"))
    book.flush()
    for number in range(10_000):
        book.add(RejectedDelivery("refused", f":msg_{number}", cause="x" * 10_000))
        book.flush()
    assert (
        client.xlen(REFUSALS) <= 1 + MAX_AT_ONCE * 3
    )  # a slow machine may pass a second or two here
    assert len(book._rejected) <= MAX_AT_ONCE  # noqa: SLF001 - what it holds back must stay small


def test_flood_hides_no_real_delivery(client: "redis.Redis") -> None:
    deliver(client, "msg_real")
    for number in range(2 * MAX_LOGGED):
        client.xadd(REFUSALS, {"verdict": "refused", "delivery": f":{number}"}, maxlen=MAX_LOGGED)
    assert any(one.delivery_id == "msg_real" for one in fetch_deliveries(client, 3 * MAX_LOGGED))


def test_absent_redis_is_said_in_words() -> None:
    with connect(f"redis://127.0.0.1:{allocate_port()}/0") as nowhere:
        book = DeliveryLog(nowhere)
        book.add(RejectedDelivery("refused", ":msg_1"))
        with pytest.raises(InboxUnavailableError):
            book.flush()
        with pytest.raises(InboxUnavailableError):
            fetch_deliveries(nowhere, 10)
