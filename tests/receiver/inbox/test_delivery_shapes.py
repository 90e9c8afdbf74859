"""Shapes of deliveries: which are looked at, and that they get into Redis."""

import time

import pytest
import redis

from receiver.inbox import delivery_shapes
from receiver.inbox.delivery_log import DeliveryLog, RejectedDelivery, fetch_deliveries
from receiver.inbox.delivery_shapes import (
    KEPT_S,
    MAX_WAITING,
    DeliveryShape,
    ShapeLog,
    fetch_shapes,
)
from receiver.inbox.redis import DELIVERY_SHAPES


def shape(event: str = "batch.succeeded", project: str = "") -> DeliveryShape:
    return DeliveryShape(project, "v1", event, int(time.time() * 1000), {"a": "b"}, {"c": "string"})


def test_one_of_a_kind_is_looked_at_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = ShapeLog()
    kinds = [("", "v1", "ping"), ("acme", "v1", "ping"), ("", "v1a", "ping"), ("", "v1", "x")]
    assert [shapes.wants(*kind) for kind in kinds] == [True] * 4
    assert [shapes.wants(*kind) for kind in kinds] == [False] * 4
    monkeypatch.setattr(delivery_shapes, "LOOK_EVERY_S", 0.0)
    assert shapes.wants(*kinds[0])


def test_many_kinds_take_little_memory() -> None:
    shapes = ShapeLog()
    for number in range(10 * MAX_WAITING):
        assert shapes.wants("", "v1", str(number))
        shapes.add(shape(str(number)))
    assert len(shapes.take()) == MAX_WAITING
    assert shapes.take() == {}


def test_shapes_are_written_with_the_log_and_go_in_a_week(client: "redis.Redis") -> None:
    log = DeliveryLog(client)
    log.shapes.add(shape())
    log.shapes.add(shape(project="acme"))
    log.flush()
    (found,) = fetch_shapes(client, "")
    assert (found.headers, found.body, found.scheme) == ({"a": "b"}, {"c": "string"}, "v1")
    assert [one.project for one in fetch_shapes(client, "acme")] == ["acme"]
    assert 0 < client.ttl(DELIVERY_SHAPES) <= KEPT_S


def test_other_bytes_do_not_hide_what_is_there(client: "redis.Redis") -> None:
    client.hset(DELIVERY_SHAPES, mapping={b"\xff": b"\xff", "x": "[]"})
    log = DeliveryLog(client)
    log.shapes.add(shape())
    log.flush()
    assert len(fetch_shapes(client, "")) == 1


def test_rejected_deliveries_are_logged_with_shapes_and_without(client: "redis.Redis") -> None:
    log = DeliveryLog(client)
    log.add(RejectedDelivery("refused", ":msg_1"))
    log.flush()
    assert [one.verdict for one in fetch_deliveries(client, 10)] == ["refused"]
    assert fetch_shapes(client, "") == []
