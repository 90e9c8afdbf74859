import pytest
import redis

from receiver.inbox.job_queue import MAX_WAITING, JobQueue, open_queue
from receiver.inbox.ledger import ENQUEUE_GRACE_S, Arrival, Inbox
from receiver.inbox.redis import DUE
from receiver.inbox.redispatch import Sweeper, sweep
from tests.waiting import eventually


@pytest.fixture
def inbox(client: "redis.Redis") -> Inbox:
    return Inbox(client)


@pytest.fixture
def job_queue(client: "redis.Redis") -> JobQueue:
    return JobQueue(client)


def owe(inbox: Inbox, client: "redis.Redis", count: int) -> list[str]:
    """Batches that are due and whose last ring is a while ago."""
    names = [f"batches/b{number}" for number in range(count)]
    inbox.accept([Arrival(name, "batch.succeeded", "static") for name in names])
    forget_rings(client, names)
    return names


def forget_rings(client: "redis.Redis", names: list[str]) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hset(f"gbr:entry:{name}", "rung_until", 0)
        pipeline.execute()


def test_lost_ring_is_rung_again(inbox: Inbox, job_queue: JobQueue, client: "redis.Redis") -> None:
    owe(inbox, client, 3)
    assert sweep(inbox, job_queue) == 3
    assert open_queue(client).count == 3


def test_waiting_batch_is_not_rung_twice(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    names = owe(inbox, client, 3)
    job_queue.enqueue(names[:2])
    assert sweep(inbox, job_queue) == 1
    assert open_queue(client).count == 3


def test_ten_thousand_waiting_are_left_alone(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    job_queue.enqueue(owe(inbox, client, 10_000))
    for _ in range(3):
        assert sweep(inbox, job_queue) == 0
    assert open_queue(client).count == 10_000


def test_missing_ring_waits_for_a_short_queue(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    """Nobody is idle while a hundred jobs wait; the ring comes when they are done."""
    lost, *heard = owe(inbox, client, MAX_WAITING + 1)
    job_queue.enqueue(heard)
    assert sweep(inbox, job_queue) == 0
    client.lpop(open_queue(client).key)
    client.zrem(DUE, heard[0])  # done
    forget_rings(client, [lost])
    assert sweep(inbox, job_queue) == 1


def test_sweep_leaves_what_was_just_rung(inbox: Inbox, job_queue: JobQueue) -> None:
    assert ENQUEUE_GRACE_S > 1
    inbox.accept([Arrival("batches/a", "batch.succeeded", "static")])
    assert sweep(inbox, job_queue) == 0


def test_foreign_bytes_in_the_queue_do_no_harm(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    client.rpush(open_queue(client).key, b"\xff\xfe", b"")
    owe(inbox, client, 1)
    assert sweep(inbox, job_queue) == 1


def test_sweeper_goes_on_after_a_failure(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    queue = open_queue(client)
    owe(inbox, client, 1)
    client.set(queue.key, "not a list")
    sweeper = Sweeper(inbox, job_queue)
    sweeper.start()
    try:
        eventually(lambda: "sweep.skipped" in caplog.text, 8)
        client.delete(queue.key)
        forget_rings(client, ["batches/b0"])
        eventually(lambda: queue.count == 1, 8)
    finally:
        sweeper.stop()


def test_flood_rings_for_a_few_alone(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    """The inbox owes all of them: the sweeps ring for the rest."""
    names = owe(inbox, client, MAX_WAITING + 50)
    job_queue.enqueue_if_room(names[:30])
    job_queue.enqueue_if_room(names[30:])
    assert open_queue(client).count == MAX_WAITING
    assert sweep(inbox, job_queue) == 0
    client.delete(open_queue(client).key)
    assert sweep(inbox, job_queue) == MAX_WAITING
    client.delete(open_queue(client).key)
    assert sweep(inbox, job_queue) == 50


def test_bell_rings_again_after_a_flood(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    job_queue.enqueue_if_room(owe(inbox, client, MAX_WAITING + 1))
    client.delete(open_queue(client).key)

    def rings() -> bool:
        job_queue.enqueue_if_room(["batches/next"])
        return open_queue(client).count == 1

    eventually(rings, 5, "a ring after the pause")
