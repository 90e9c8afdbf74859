"""What is owed reaches real receivers on loopback, whatever happens on the way."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.exceptions import InvalidSignature
from standardwebhooks import WebhookVerificationError

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import NOTICE_QUEUE, connect
from receiver.notices.dispatcher import Dispatcher, TargetDispatcher, send_due
from receiver.notices.outbox import Notice, Outbox, read_outbox_status
from receiver.notices.payloads import Message
from receiver.notices.queue import NoticeQueue
from receiver.retry import NOTICE_DELAYS_S
from receiver.settings.notice_keys import NoticeKey
from receiver.settings.notice_targets import NoticeSettings, Target, make_target
from receiver.verification.keys import Secret
from tests.notice_receiver import OK, Answer, ReceivedNotice, Receiver, receiving
from tests.receiver.forging import SECRET, SECRET_TEXT
from tests.receiver.notices.conftest import BATCH, STORED, notice_settings
from tests.receiver.notices.test_payloads import OTHER_TEXT
from tests.waiting import eventually

HOUR_S = 3600
PAGE = Path(__file__).parents[3] / "receiver" / "README.md"


def enqueue(client: "redis.Redis", settings: NoticeSettings, *batches: str) -> None:
    for batch in batches or (BATCH,):
        Outbox(client, settings.digests).enqueue(batch, STORED)


def only(client: "redis.Redis") -> Notice:
    (notice,) = Outbox(client).listing()
    return notice


@contextmanager
def running_sender(settings: NoticeSettings, client: "redis.Redis") -> Iterator[Dispatcher]:
    sender = Dispatcher(settings, client)
    sender.start()
    yield sender
    sender.stop()


def test_notice_is_signed_and_heard(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    enqueue(client, notice_settings(target))
    assert TargetDispatcher(notice_settings(target), target, client).send_next() == "delivered"
    (received,) = receiver.received
    received.verify(SECRET_TEXT)
    with pytest.raises(WebhookVerificationError):
        received.verify(OTHER_TEXT)
    assert received.headers["content-type"] == "application/json"
    assert received.payload["type"] == "results.stored"
    assert received.payload["data"] == {"batch": BATCH, "project": None, "complete": True}
    assert Outbox(client).listing() == []


def test_every_secret_of_a_rotation_signs(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    settings = notice_settings(replace(target, keys=(Secret.parse(OTHER_TEXT), SECRET)))
    enqueue(client, settings)
    send_due(settings, client)
    for secret in (SECRET_TEXT, OTHER_TEXT):
        receiver.received[0].verify(secret)


def test_private_key_signs_beside_a_secret(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    """By the words of Standard Webhooks; its library passes over what it can't verify."""
    key = NoticeKey(bytes(range(32)))
    settings = notice_settings(replace(target, keys=(key, SECRET)))
    enqueue(client, settings)
    send_due(settings, client)
    (received,) = receiver.received
    received.verify(SECRET_TEXT)
    received.verify_asymmetric(key.public_key)
    with pytest.raises(InvalidSignature):
        received.verify_asymmetric(NoticeKey(bytes(range(1, 33))).public_key)
    with pytest.raises(InvalidSignature):
        replace(received, body=received.body + b" ").verify_asymmetric(key.public_key)


def test_lines_of_the_page_verify(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    key, other = NoticeKey(bytes(range(32))), NoticeKey(bytes(range(1, 33)))
    old = NoticeKey(bytes(range(2, 34)))
    settings = notice_settings(replace(target, keys=(SECRET, old, key)))
    enqueue(client, settings)
    send_due(settings, client)
    (received,) = receiver.received
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (lines,) = [block for block in blocks if "whpk_…" in block]

    def is_genuine(by: NoticeKey, body: bytes) -> object:
        names: dict[str, Any] = {}
        exec(lines.replace("whpk_…", by.public_key), names)
        return names["is_genuine"](received.headers, body)

    assert is_genuine(key, received.body) is is_genuine(old, received.body) is True
    assert is_genuine(other, received.body) is is_genuine(key, b"{}") is False


def test_target_gets_what_it_wants_with_its_own_signature(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    with receiving() as other:
        wanting = replace(target, events=frozenset({"batch.buried"}))
        own_key = make_target("webhook", other.url, (Secret.parse(OTHER_TEXT),))
        settings = notice_settings(wanting, own_key)
        enqueue(client, settings)
        Outbox(client, settings.digests).enqueue(BATCH, Message("batch.buried", {}))
        assert send_due(settings, client) == {"delivered": 3}
    assert [one.payload["type"] for one in receiver.received] == ["batch.buried"]
    assert len(other.received) == 2
    for received in other.received:
        received.verify(OTHER_TEXT)
        with pytest.raises(WebhookVerificationError):
            received.verify(SECRET_TEXT)
    assert Outbox(client).listing() == []


def test_slack_gets_text(client: "redis.Redis", receiver: Receiver) -> None:
    slack = make_target("slack", receiver.url)
    enqueue(client, notice_settings(slack))
    assert send_due(notice_settings(slack), client) == {"delivered": 1}
    assert json.loads(receiver.received[0].body)["text"].startswith(
        f"Batch `{BATCH}`: *:warning: stored; unknown how many missing*"
    )
    assert "webhook-signature" not in receiver.received[0].headers


def test_retry_says_the_same_with_a_new_signature(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    settings = notice_settings(target, base_s=0.001)
    enqueue(client, settings)
    dispatcher, answers = TargetDispatcher(settings, target, client), iter([(503, {}, b""), OK])
    receiver.answer = lambda _: next(answers)
    assert dispatcher.send_next() == "failed"
    assert eventually(dispatcher.send_next) == "delivered"
    first, second = receiver.received
    assert (first.message_id, first.body) == (second.message_id, second.body)
    first.verify(SECRET_TEXT)
    second.verify(SECRET_TEXT)


def test_deaf_receiver_leaves_a_dead_notice(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    settings = notice_settings(target, base_s=0.00002)  # the whole schedule in some seconds
    receiver.answer = lambda _: (500, {}, b"")
    enqueue(client, settings)
    dispatcher = TargetDispatcher(settings, target, client)
    results = [eventually(dispatcher.send_next) for _ in NOTICE_DELAYS_S]
    assert results == ["failed"] * 9 + ["dead"]
    assert (only(client).state, only(client).cause) == ("dead", "127.0.0.1 answered 500")
    assert len(receiver.received) == 10
    Outbox(client).retry([only(client).name])
    receiver.answer = lambda _: OK
    assert dispatcher.send_next() == "delivered"


def test_gone_receiver_is_asked_once(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    receiver.answer = lambda _: (410, {}, b"")
    enqueue(client, notice_settings(target))
    assert send_due(notice_settings(target), client) == {"dead": 1}


def test_receiver_asks_for_time(client: "redis.Redis", receiver: Receiver, target: Target) -> None:
    receiver.answer = lambda _: (429, {"retry-after": "900"}, b"")
    enqueue(client, notice_settings(target, base_s=0.001))
    send_due(notice_settings(target, base_s=0.001), client)
    notice = only(client)
    assert notice.due_ms is not None
    assert notice.due_ms - notice.enqueued_ms > 890_000


def test_hour_without_the_receiver_loses_none(client: "redis.Redis") -> None:
    """On the real schedule with every wait a 2500th of it, so that an hour takes a second and a
    half.
    """
    port = allocate_port()
    settings = notice_settings(
        make_target("webhook", f"http://127.0.0.1:{port}/notices", (SECRET,)), base_s=0.002
    )
    hour_s = HOUR_S * settings.retry_base_s / NOTICE_DELAYS_S[1]
    batches = [f"batches/b{number}" for number in range(30)]
    with running_sender(settings, client):
        enqueue(client, settings, *batches)
        eventually(
            lambda: all(notice.tries >= 3 for notice in Outbox(client).listing()),
            20,
            "three tries of each",
        )
        assert not threading.Event().wait(hour_s)  # the rest of an hour, and more
        assert read_outbox_status(client).dead == 0
        with receiving(port) as receiver:
            eventually(lambda: Outbox(client).listing() == [], 30, "the last notice")
    assert sorted({received.payload["data"]["batch"] for received in receiver.received}) == sorted(
        batches
    )
    for received in receiver.received:
        received.verify(SECRET_TEXT)


def test_slow_receiver_holds_up_no_other(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    enough = threading.Event()

    def stall(_: ReceivedNotice) -> Answer:
        enough.wait(20)
        return OK

    with receiving() as slow:
        slow.answer = stall
        settings = notice_settings(make_target("webhook", slow.url), target)
        with running_sender(settings, client):
            enqueue(client, settings, *(f"batches/b{number}" for number in range(5)))
            eventually(lambda: len(receiver.received) == 5, 10, "the quick one's notices")
            eventually(lambda: len(slow.received) == 1, 10, "the slow one's first")
            enough.set()
            eventually(lambda: Outbox(client).listing() == [], 10, "the slow one's notices")


def test_planted_notice_goes_nowhere_else(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    """Where a notice goes is the settings' to say, whatever stands in Redis."""
    with receiving() as evil:
        planted: dict[Any, Any] = {
            "type": "results.stored",
            "batch": BATCH,
            "data": "{}",
            "owed": "1",
            "tries": "0",
        }
        strange = make_target("webhook", evil.url).digest
        for name in (f"{target.digest}/msg_1", f"{strange}/msg_2", evil.url):
            client.hset(
                f"gbr:notice:{name}",
                mapping=planted | {"url": evil.url, "target": evil.url, "host": evil.url},
            )
            client.zadd(NOTICE_QUEUE + target.digest, {name: 1})
            client.zadd(NOTICE_QUEUE + strange, {name: 1})
            client.sadd("gbr:notices", strange, target.digest, evil.url)
        send_due(notice_settings(target), client)
        assert evil.received == []
    assert {received.path for received in receiver.received} == {"/notices"}


def test_foreign_notice_is_dead_at_once(
    client: "redis.Redis", receiver: Receiver, target: Target
) -> None:
    client.hset(f"gbr:notice:{target.digest}/x", mapping={"type": "evil", "data": "junk"})
    client.zadd(NOTICE_QUEUE + target.digest, {f"{target.digest}/x": 1})
    assert send_due(notice_settings(target), client) == {"dead": 1}
    assert receiver.received == []


def test_notice_that_crashes_us_stops_no_other(client: "redis.Redis", receiver: Receiver) -> None:
    slack = make_target("slack", receiver.url)
    planted: dict[Any, Any] = {
        "type": "results.stored",
        "batch": BATCH,
        "data": '{"problems": 5}',
        "owed": 1,
        "tries": 0,
    }
    client.hset(f"gbr:notice:{slack.digest}/x", mapping=planted)
    client.zadd(NOTICE_QUEUE + slack.digest, {f"{slack.digest}/x": 1})
    enqueue(client, notice_settings(slack))
    assert send_due(notice_settings(slack), client) == {"failed": 1, "delivered": 1}
    assert only(client).cause == "unexpected TypeError"


def test_removed_target_blocks_nobody(client: "redis.Redis", target: Target) -> None:
    removed = make_target("webhook", "https://removed.example/notices")
    enqueue(client, notice_settings(removed, target))
    assert send_due(notice_settings(target), client) == {"delivered": 1}
    assert only(client).target == removed.digest
    assert read_outbox_status(client).waiting == 1


def test_redis_goes_while_sending(tmp_path: Path, receiver: Receiver, target: Target) -> None:
    """The notice is sent again with the same id: heard twice at most, never lost."""
    port, settings = allocate_port(), notice_settings(target)
    valkey, began, go_on = start_valkey(tmp_path, port), threading.Event(), threading.Event()

    def pause(_: ReceivedNotice) -> Answer:
        began.set()
        go_on.wait(20)
        return OK

    receiver.answer = pause
    with connect(f"redis://127.0.0.1:{port}/0") as client:
        enqueue(client, settings)
        with running_sender(settings, client):
            assert began.wait(10)
            stop(valkey)
            go_on.set()
            valkey = start_valkey(tmp_path, port)
            lease_name = only(client).name
            # As if the lease had run out:
            client.zadd(NOTICE_QUEUE + target.digest, {lease_name: 1})
            eventually(lambda: Outbox(client).listing() == [], 20, "the end of it")
    stop(valkey)
    assert len({received.message_id for received in receiver.received}) == 1


def test_absent_redis_is_said(target: Target) -> None:
    with (
        connect(f"redis://127.0.0.1:{allocate_port()}/0") as client,
        pytest.raises(InboxUnavailableError, match="Redis did not"),
    ):
        send_due(notice_settings(target), client)


def test_stop_waits_for_a_try(client: "redis.Redis", receiver: Receiver, target: Target) -> None:
    began, go_on = threading.Event(), threading.Event()

    def pause(_: ReceivedNotice) -> Answer:
        began.set()
        go_on.wait(20)
        return OK

    receiver.answer = pause
    enqueue(client, notice_settings(target))
    with running_sender(notice_settings(target), client):
        assert began.wait(10)
        threading.Timer(0.3, go_on.set).start()
    assert Outbox(client).listing() == []
    assert len(receiver.received) == 1


def test_queue_of_each_target_is_its_own(client: "redis.Redis", target: Target) -> None:
    other = make_target("slack", target.url)
    assert other.digest != target.digest
    enqueue(client, notice_settings(target, other))
    assert NoticeQueue(client, other.digest).claim() is not None
    assert NoticeQueue(client, target.digest).claim() is not None
