from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
import redis

from deploy.sandbox.processes import allocate_port
from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import METRICS, NOTICE_QUEUE, connect
from receiver.notices.outbox import Outbox, read_outbox_status
from receiver.notices.payloads import Message
from receiver.notices.queue import ATTENDED_S, ClaimedNotice, NoticeQueue
from receiver.telemetry.metrics.definitions import NOTICES
from tests.model.clocked import ClockedRedis, clocked_client
from tests.receiver.notices.conftest import BATCH, STORED
from tests.stepped_clock import START_MS
from tests.waiting import eventually

TARGET = "0123456789ab"
DAY_MS = 86400 * 1000


@pytest.fixture
def queue(client: "redis.Redis") -> NoticeQueue:
    Outbox(client, [TARGET]).enqueue(BATCH, STORED)
    return NoticeQueue(client, TARGET)


def claim(queue: NoticeQueue, lease_s: float = 60) -> ClaimedNotice:
    notice = queue.claim(lease_s)
    assert notice is not None
    return notice


def waits(queue: NoticeQueue) -> bool:
    return queue.claim() is None


def test_owed_notice_is_claimed_whole(queue: NoticeQueue) -> None:
    notice = claim(queue)
    assert (notice.type, notice.batch, notice.data, notice.tries) == (
        "results.stored",
        BATCH,
        {"complete": True},
        0,
    )
    assert notice.message_id.startswith("msg_")
    assert notice.enqueued_ms > 0


def test_only_one_claim_wins(queue: NoticeQueue) -> None:
    claim(queue)
    assert waits(queue)


def test_unwanted_types_leave_the_queue(client: "redis.Redis") -> None:
    """What was claimed before the filter changed stays with who sends it."""
    outbox, queue = Outbox(client, [TARGET]), NoticeQueue(client, TARGET)
    outbox.enqueue("batches/leased", STORED)
    leased = claim(queue)
    for number in range(150):
        outbox.enqueue(f"batches/b{number}", STORED)
    outbox.enqueue(BATCH, Message("results.failed", {}))
    assert queue.claim(events=["results.failed", "batch.buried"]) is None  # a hundred per call
    assert len(outbox.names()) == 52
    found = queue.claim(events=["results.failed", "batch.buried"])
    assert found is not None
    assert queue.claim(events=["results.failed", "batch.buried"]) is None
    assert (found.type, found.batch) == ("results.failed", BATCH)
    assert set(outbox.names()) == {leased.name, found.name}
    kept = {f"gbr:notice:{leased.name}".encode(), f"gbr:notice:{found.name}".encode()}
    assert set(client.keys("gbr:notice:*")) == kept


def test_two_senders_at_once_share_the_work(client: "redis.Redis", redis_url: str) -> None:
    outbox = Outbox(client, [TARGET])
    for number in range(40):
        outbox.enqueue(f"batches/b{number}", STORED)
    claimed, barrier = list[str](), Barrier(2)

    def take() -> None:
        with connect(redis_url) as own:
            queue = NoticeQueue(own, TARGET)
            barrier.wait()
            claimed.extend(notice.name for notice in iter(queue.claim, None) if notice is not None)

    threads = [Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 40


def test_dead_senders_notice_comes_again(queue: NoticeQueue) -> None:
    lost = claim(queue, lease_s=0.01)
    heir = eventually(queue.claim)
    assert heir is not None
    assert (heir.name, heir.tries) == (lost.name, 0)
    queue.mark_delivered(lost)  # too late: it is the heir's to say
    queue.postpone(heir, 0, "no")
    assert claim(queue).tries == 1


def test_delivered_notice_leaves_nothing(queue: NoticeQueue, client: "redis.Redis") -> None:
    notice = claim(queue)
    queue.mark_delivered(notice)
    assert waits(queue)
    assert not client.exists(f"gbr:notice:{notice.name}")
    assert client.hget(METRICS, NOTICES.field("results.stored", "delivered")) == b"1"


def test_failed_try_waits_its_time(queue: NoticeQueue, client: "redis.Redis") -> None:
    queue.postpone(claim(queue), 60, "it was asleep")
    assert waits(queue)
    (notice,) = Outbox(client).listing()
    assert (notice.state, notice.tries, notice.cause) == ("waiting", 1, "it was asleep")
    assert client.hget(METRICS, NOTICES.field("results.stored", "failed")) == b"1"


def test_dead_notice_is_kept(queue: NoticeQueue, client: "redis.Redis") -> None:
    notice = claim(queue)
    queue.mark_dead(notice, "gone")
    assert waits(queue)
    assert read_outbox_status(client).dead == 1
    assert client.ttl(f"gbr:notice:{notice.name}") > 29 * 86400


def test_every_key_expires(queue: NoticeQueue, client: "redis.Redis") -> None:
    Outbox(client, [TARGET]).enqueue("batches/b2", STORED)
    queue.mark_dead(claim(queue), "gone")
    claim(queue)
    keys = list(client.scan_iter("gbr:*notice*"))
    assert len(keys) == 6
    assert all(client.ttl(key) > 0 for key in keys)


def test_expired_notice_is_left_out(queue: NoticeQueue, client: "redis.Redis") -> None:
    client.delete(*client.scan_iter("gbr:notice:*"))
    assert waits(queue)
    assert client.zcard(NOTICE_QUEUE + TARGET) == 0


def test_one_targets_notices_are_no_other_ones(client: "redis.Redis") -> None:
    Outbox(client, [TARGET, "other"]).enqueue(BATCH, STORED)
    one, other = claim(NoticeQueue(client, TARGET)), claim(NoticeQueue(client, "other"))
    assert one.message_id == other.message_id
    assert one.name != other.name


@pytest.mark.parametrize(
    "planted",
    [
        {"type": "evil", "batch": BATCH, "data": "{}", "owed": "1", "tries": "0"},
        {"type": "results.stored", "batch": BATCH, "data": "[1]", "owed": "1", "tries": "0"},
        {
            "type": "results.stored",
            "batch": BATCH,
            "data": "{" * 100_000,
            "owed": "1",
            "tries": "0",
        },
        {"type": "results.stored", "batch": BATCH, "data": "{}", "owed": "soon", "tries": "0"},
        {"type": "results.stored", "batch": BATCH, "data": b"\xff", "owed": "1", "tries": "0"},
        {"type": "results.stored", "url": "http://evil.example"},
    ],
)
def test_what_others_wrote_has_no_type(client: "redis.Redis", planted: Any) -> None:
    client.hset(f"gbr:notice:{TARGET}/x", mapping=planted)
    client.zadd(NOTICE_QUEUE + TARGET, {f"{TARGET}/x": 1})
    queue = NoticeQueue(client, TARGET)
    notice = claim(queue)
    assert notice.type is None
    queue.mark_dead(notice, "it is none of ours")
    assert waits(queue)


def test_what_is_no_hash_is_left_out(queue: NoticeQueue, client: "redis.Redis") -> None:
    client.set(f"gbr:notice:{TARGET}/x", "text")
    client.zadd(NOTICE_QUEUE + TARGET, {f"{TARGET}/x": 1})
    assert claim(queue).type == "results.stored"
    assert waits(queue)


def test_spoilt_queue_stops_no_batch(client: "redis.Redis") -> None:
    client.set(NOTICE_QUEUE + TARGET, "text")
    Outbox(client, [TARGET]).enqueue(BATCH, STORED)
    assert claim(NoticeQueue(client, TARGET)).batch == BATCH


def test_presence_is_seen(queue: NoticeQueue, client: "redis.Redis") -> None:
    assert queue.is_unattended()
    notice = claim(queue)
    queue.postpone(notice, 0, "no")
    assert not queue.is_unattended()  # whoever claimed it is there
    # It lasts as long as a try may take.
    assert client.pttl(f"{NOTICE_QUEUE}{TARGET}:served") > ATTENDED_S * 1000
    client.delete(f"{NOTICE_QUEUE}{TARGET}:served")
    assert queue.is_unattended()
    queue.mark_delivered(claim(queue))
    client.delete(f"{NOTICE_QUEUE}{TARGET}:served")
    assert not queue.is_unattended()  # nothing is due


def test_absent_redis_is_said_in_words() -> None:
    with connect(f"redis://127.0.0.1:{allocate_port()}/0") as client:
        queue = NoticeQueue(client, TARGET)
        for call in (queue.claim, queue.is_unattended, Outbox(client).listing):
            with pytest.raises(InboxUnavailableError, match="Redis did not"):
                call()


@pytest.fixture
def stepped(redis_url: str, client: "redis.Redis") -> ClockedRedis:  # noqa: ARG001 - it empties Redis
    """Its clock is a day ahead; a notice was queued meanwhile."""
    ahead = clocked_client(redis_url)
    ahead.on_call = lambda _call: None
    ahead.set_clock(START_MS + DAY_MS)
    Outbox(ahead, [TARGET]).enqueue(BATCH, STORED)
    return ahead


def fail_a_try(queue: NoticeQueue) -> None:
    queue.postpone(claim(queue), 300, "asleep")


@pytest.mark.parametrize(
    "meanwhile", [lambda _queue: None, claim, fail_a_try], ids=["queued", "claimed", "failed"]
)
def test_clock_that_is_set_back_holds_up_no_notice(
    stepped: ClockedRedis, meanwhile: Callable[[NoticeQueue], object]
) -> None:
    meanwhile(NoticeQueue(stepped, TARGET))
    stepped.set_clock(START_MS)
    assert claim(NoticeQueue(stepped, TARGET)).batch == BATCH
    assert waits(NoticeQueue(stepped, TARGET))


def test_notice_of_before_is_held_up_neither(stepped: ClockedRedis) -> None:
    """Its time was written while the clock was ahead, by a retry or a sender that died."""
    stepped.set_clock(START_MS)
    queue = NoticeQueue(stepped, TARGET)
    queue.postpone(claim(queue), 60, "asleep")
    stepped.set_clock(START_MS + DAY_MS)
    Outbox(stepped, [TARGET]).retry(list(Outbox(stepped).names()))
    stepped.set_clock(START_MS)
    assert claim(queue).batch == BATCH


def test_clock_that_is_set_back_leaves_nobody_present(stepped: ClockedRedis) -> None:
    """Else no worker would send for a day what no web process sends."""
    queue = NoticeQueue(stepped, TARGET)
    fail_a_try(queue)
    stepped.set_clock(START_MS)
    assert queue.is_unattended()
    claim(queue)
    assert not queue.is_unattended()


def test_long_wait_is_no_clock_that_was_set_back(stepped: ClockedRedis) -> None:
    queue = NoticeQueue(stepped, TARGET)
    queue.postpone(claim(queue), 29 * 3600, "asleep")
    assert waits(queue)
    stepped.set_clock(START_MS + DAY_MS + 3600_000)
    assert waits(queue)
    assert not queue.is_unattended()
    stepped.set_clock(stepped.now_ms + 60_000)
    assert not queue.is_unattended()


@pytest.mark.parametrize(("ahead_ms", "is_due"), [(3600_000, False), (3600_001, True)])
def test_last_change_says_whether_a_wait_was_meant(
    stepped: ClockedRedis, ahead_ms: int, *, is_due: bool
) -> None:
    """When it was owed says nothing, before as after."""
    (name,) = Outbox(stepped).names()
    owed_ms = START_MS if is_due else START_MS + DAY_MS
    stepped.hset(f"gbr:notice:{name}", mapping={"owed": owed_ms, "changed": START_MS + ahead_ms})
    stepped.set_clock(START_MS)
    assert (NoticeQueue(stepped, TARGET).claim() is not None) == is_due


def test_notice_of_an_earlier_version_is_held_up_neither(stepped: ClockedRedis) -> None:
    (name,) = Outbox(stepped).names()
    stepped.hdel(f"gbr:notice:{name}", "changed")
    stepped.set_clock(START_MS)
    assert claim(NoticeQueue(stepped, TARGET)).name == name
