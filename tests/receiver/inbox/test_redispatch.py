import pytest
import redis

from receiver.inbox.job_queue import MAX_WAITING, JobQueue, open_queue
from receiver.inbox.ledger import ENQUEUE_GRACE_S, Arrival, Inbox
from receiver.inbox.redis import DUE, ENTRY
from receiver.inbox.redispatch import Sweeper, sweep
from tests.waiting import eventually

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def inbox(client: "redis.Redis") -> Inbox:
    return Inbox(client)


@pytest.fixture
def job_queue(client: "redis.Redis") -> JobQueue:
    return JobQueue(client)


def add_due(inbox: Inbox, client: "redis.Redis", count: int) -> list[str]:
    """Batches that are due and got their last job a while ago."""
    names = [f"batches/b{number}" for number in range(count)]
    inbox.accept([Arrival(name, "batch.succeeded", "static") for name in names])
    forget_jobs(client, names)
    return names


def forget_jobs(client: "redis.Redis", names: list[str]) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hset(f"gbr:entry:{name}", "rung_until", 0)
        pipeline.execute()


def test_lost_job_is_enqueued_again(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    add_due(inbox, client, 3)
    assert sweep([inbox], job_queue) == 3
    assert open_queue(client).count == 3


def test_waiting_batch_gets_no_second_job(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    names = add_due(inbox, client, 3)
    job_queue.enqueue(names[:2])
    assert sweep([inbox], job_queue) == 1
    assert open_queue(client).count == 3


def test_ten_thousand_waiting_are_left_alone(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    job_queue.enqueue(add_due(inbox, client, 10_000))
    for _ in range(3):
        assert sweep([inbox], job_queue) == 0
    assert open_queue(client).count == 10_000


def test_missing_job_waits_for_a_short_queue(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    """No worker is idle while a hundred jobs wait; the next is enqueued after them."""
    lost, *queued = add_due(inbox, client, MAX_WAITING + 1)
    job_queue.enqueue(queued)
    assert sweep([inbox], job_queue) == 0
    client.lpop(open_queue(client).key)
    client.zrem(DUE, queued[0])  # done
    forget_jobs(client, [lost])
    assert sweep([inbox], job_queue) == 1


def test_sweep_leaves_what_was_just_enqueued(inbox: Inbox, job_queue: JobQueue) -> None:
    assert ENQUEUE_GRACE_S > 1
    inbox.accept([Arrival("batches/a", "batch.succeeded", "static")])
    assert sweep([inbox], job_queue) == 0


def test_foreign_bytes_in_the_queue_do_no_harm(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    client.rpush(open_queue(client).key, b"\xff\xfe", b"")
    add_due(inbox, client, 1)
    assert sweep([inbox], job_queue) == 1


def test_sweeper_goes_on_after_a_failure(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    queue = open_queue(client)
    add_due(inbox, client, 1)
    client.set(queue.key, "not a list")
    sweeper = Sweeper([inbox], job_queue)
    sweeper.start()
    try:
        eventually(lambda: "sweep.skipped" in caplog.text, 8)
        client.delete(queue.key)
        forget_jobs(client, ["batches/b0"])
        eventually(lambda: queue.count == 1, 8)
    finally:
        sweeper.stop()


def test_flood_enqueues_a_few_alone(
    inbox: Inbox, job_queue: JobQueue, client: "redis.Redis"
) -> None:
    """The inbox knows all of them: the sweeps enqueue the rest."""
    names = add_due(inbox, client, MAX_WAITING + 50)
    job_queue.enqueue_if_room(names[:30])
    job_queue.enqueue_if_room(names[30:])
    assert open_queue(client).count == MAX_WAITING
    assert sweep([inbox], job_queue) == 0
    client.delete(open_queue(client).key)
    assert sweep([inbox], job_queue) == MAX_WAITING
    client.delete(open_queue(client).key)
    assert sweep([inbox], job_queue) == 50


def test_clock_that_is_set_back_delays_nothing(inbox: Inbox, client: "redis.Redis") -> None:
    """Whatever was due by the clock of a day ahead: accepted there, or held by a worker that died."""
    names = ["batches/accepted", "batches/leased"]
    for name in names:
        inbox.accept([Arrival(name, "batch.succeeded", "static")])
    assert inbox.claim(names[1]) is not None
    for name in names:
        client.hincrby(f"{ENTRY}{name}", "changed", DAY_MS)
        client.hincrby(f"{ENTRY}{name}", "rung_until", DAY_MS)
        client.zincrby(DUE, DAY_MS, name)
    assert sorted(inbox.take_due()) == names
