"""What is kept of deliveries to open them later, and above all what is not."""

import pytest
import redis

from receiver.inbox.delivery_contents import (
    HIDDEN,
    KEPT_S,
    MAX_AT_ONCE,
    MAX_BODY_BYTES,
    MAX_HEADERS,
    MAX_KEPT,
    MAX_VALUE_CHARS,
    DeliveryContent,
    fetch_content,
)
from receiver.inbox.delivery_log import DeliveryLog
from receiver.inbox.redis import DELIVERY_CONTENTS

HEADERS = {b"content-type": b"application/json", b"webhook-id": b"msg_1"}


def keep(client: "redis.Redis", headers: dict[bytes, bytes], body: bytes) -> DeliveryContent:
    log = DeliveryLog(client)
    log.contents.add("v1:msg_1", headers, body)
    log.flush()
    found = fetch_content(client, "v1:msg_1", 0)
    assert found is not None
    return found


def test_headers_and_body_are_kept(client: "redis.Redis") -> None:
    found = keep(client, HEADERS, b'{"type": "batch.succeeded"}')
    assert found.headers == {"content-type": "application/json", "webhook-id": "msg_1"}
    assert (found.body, found.is_whole) == ('{"type": "batch.succeeded"}', True)
    assert 0 < client.ttl(DELIVERY_CONTENTS) <= KEPT_S


SECRETS = {
    "webhook-signature": "v1,c2VjcmV0c2VjcmV0 v1a,b3RoZXJvdGhlcg==",
    "authorization": "Bearer ya29.secret",
    "cookie": "session=secret",
    "x-api-key": "AIzaSecret",
    "x-forwarded-for": "203.0.113.7",
    "x-anything-new": "a secret",
}
PARTS = ("c2VjcmV0c2VjcmV0", "b3RoZXJvdGhlcg", "ya29", "secret", "AIza", "203.0")


def test_no_secret_and_no_signature_reaches_redis(client: "redis.Redis") -> None:
    raw = {name.encode(): value.encode() for name, value in SECRETS.items()}
    found = keep(client, HEADERS | raw, b"{}")
    (stored,) = client.lrange(DELIVERY_CONTENTS, 0, -1)
    assert not [part for part in PARTS if part.encode() in stored]
    assert found.headers.keys() == {name.decode() for name in HEADERS} | SECRETS.keys()
    assert found.headers["webhook-signature"] == f"v1 v1a {HIDDEN}"
    assert found.headers["x-anything-new"] == HIDDEN


def test_a_token_as_the_signature_is_left_out(client: "redis.Redis") -> None:
    found = keep(client, {b"webhook-signature": b"eyJh.eyJi.c2ln"}, b"{}")
    assert found.headers == {"webhook-signature": f"jwt {HIDDEN}"}


KEY = "AIzaSyB-known_to_Google_alone_0123456789"


def test_a_key_in_a_message_of_google_is_left_out(client: "redis.Redis") -> None:
    log = DeliveryLog(client, ["odd$key"])
    body = f"\"Consumer 'api_key:{KEY}' has been suspended, odd$key too; Bearer ya29.a-b\""
    log.contents.add("v1:msg_1", {b"user-agent": KEY.encode()}, body.encode())
    log.flush()
    found = fetch_content(client, "v1:msg_1", 0)
    assert found is not None
    assert (
        found.body == f"\"Consumer 'api_key:{HIDDEN}' has been suspended, {HIDDEN} too; {HIDDEN}\""
    )
    assert found.headers == {"user-agent": HIDDEN}


def test_a_body_of_beginnings_is_read_once(client: "redis.Redis") -> None:
    """Whoever has a Gemini project can have 8 KB of them delivered, as often as he likes."""
    found = keep(client, {}, b"eyJ" * (MAX_BODY_BYTES // 3))
    assert found.body == HIDDEN
    client.delete(DELIVERY_CONTENTS)
    assert keep(client, {}, b"eyJhbGciOiJI.eyJi.c2ln and eyJno").body == f"{HIDDEN} and eyJno"


@pytest.mark.parametrize("kept", range(1, len(KEY), 7))
def test_a_key_at_the_cut_is_left_out(client: "redis.Redis", kept: int) -> None:
    body = b"x" * (MAX_BODY_BYTES - kept) + KEY.encode() + b"y" * 1000
    assert "A" not in keep(client, HEADERS, body).body


def test_what_is_large_is_cut(client: "redis.Redis") -> None:
    many = {f"x-{number:03}".encode(): b"1" for number in range(2 * MAX_HEADERS)}
    long = {b"a" * 1000: b"1", b"host": b"h" * 1000}
    found = keep(client, many | long, b"\xff" * 3 + b"x" * 2 * MAX_BODY_BYTES)
    assert len(found.headers) == MAX_HEADERS
    assert max(map(len, found.headers)) == MAX_VALUE_CHARS
    assert len(found.headers["host"]) == MAX_VALUE_CHARS
    assert found.body == "\ufffd" * 3 + "x" * (MAX_BODY_BYTES - 3)
    assert not found.is_whole
    assert found.size_bytes == 2 * MAX_BODY_BYTES + 3


def test_a_flood_costs_little(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.inbox.delivery_log.FLUSH_EVERY_S", 0.0)
    log = DeliveryLog(client)
    for number in range(5 * MAX_AT_ONCE):
        log.contents.add(f"v1:msg_{number}", HEADERS, b"{}")
    log.flush()
    assert client.llen(DELIVERY_CONTENTS) == MAX_AT_ONCE
    for number in range(MAX_KEPT + 1):
        log.contents.add(f"v1:last_{number}", HEADERS, b"{}")
        log.flush()
    assert client.llen(DELIVERY_CONTENTS) == MAX_KEPT
    assert fetch_content(client, "v1:last_0", 0) is None
    assert fetch_content(client, f"v1:last_{MAX_KEPT}", 0) is not None


def test_of_several_with_one_name_the_nearest_is_found(client: "redis.Redis") -> None:
    for body in ("early", "late"):
        keep(client, HEADERS, body.encode())
    late_ms = client.time()[0] * 1000 + 60_000
    early, late = (fetch_content(client, "v1:msg_1", moment) for moment in (0, late_ms))
    assert early is not None
    assert late is not None
    assert early.time_ms <= late.time_ms
    assert late.body == "late"


def test_other_bytes_hide_nothing(client: "redis.Redis") -> None:
    client.lpush(DELIVERY_CONTENTS, b"\xff", b"[]", b"{}")
    assert keep(client, HEADERS, b"{}").body == "{}"
    client.delete(DELIVERY_CONTENTS)
    client.set(DELIVERY_CONTENTS, "no list")
    assert fetch_content(client, "v1:msg_1", 0) is None
