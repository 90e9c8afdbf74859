import asyncio
from pathlib import Path

import pytest
import redis
from rq import Queue

from deploy.sandbox.processes import allocate_port
from deploy.sandbox.valkey import running_valkey
from receiver.errors import InboxUnavailableError
from receiver.inbox.delivery_log import DeliveryLog
from receiver.inbox.job_queue import MAX_WAITING, JobQueue, open_queue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from receiver.web.accept_batcher import AcceptBatcher, AsyncInbox


def arrival(number: int) -> Arrival:
    return Arrival(f"batches/b{number}", "batch.succeeded", "static", f"msg_{number}")


def test_verdicts_are_those_of_the_inbox(redis_url: str) -> None:
    async def accept() -> list[bool]:
        async with AsyncInbox(redis_url) as acceptor:
            return [
                *await acceptor.accept([arrival(1), arrival(2)]),
                *await acceptor.accept([arrival(2), arrival(3)]),
            ]

    assert asyncio.run(accept()) == [True, True, False, True]
    with connect(redis_url) as client:
        assert len(Inbox(client).entries([f"batches/b{number}" for number in (1, 2, 3)])) == 3


def test_connection_that_redis_closed_is_replaced(redis_url: str) -> None:
    """Managed services close idle connections; the next delivery must not get a 503 for that."""

    async def accept() -> list[bool]:
        async with AsyncInbox(redis_url) as acceptor:
            await acceptor.accept([arrival(1)])
            with redis.Redis.from_url(redis_url) as other:
                assert other.client_kill_filter(_type="normal", skipme=True) >= 1
            return await acceptor.accept([arrival(2)])

    assert asyncio.run(accept()) == [True]


def test_connection_to_a_replica_is_replaced(tmp_path: Path) -> None:
    """After a failover the address leads elsewhere; the old connection can't write any more."""

    async def accept(url: str) -> None:
        async with AsyncInbox(url) as acceptor:
            with pytest.raises(InboxUnavailableError, match="ReadOnlyError"):
                await acceptor.accept([arrival(1)])
            assert len(client.client_list()) == 1  # that of the question itself

    with running_valkey(tmp_path) as url, connect(url) as client:
        old = client.client_id()
        client.replicaof("127.0.0.1", str(allocate_port()))
        with pytest.raises(InboxUnavailableError, match="read only replica"):
            Inbox(client).accept([arrival(1)])
        assert client.client_id() != old
        asyncio.run(accept(url))


def test_absent_redis_is_said_in_words() -> None:
    async def accept() -> None:
        async with AsyncInbox(f"redis://127.0.0.1:{allocate_port()}/0") as acceptor:
            await acceptor.accept([arrival(1)])

    with pytest.raises(InboxUnavailableError, match="Redis did not accept"):
        asyncio.run(accept())


def test_enqueues_again_after_a_flood(redis_url: str) -> None:
    async def accept_and_count(batcher: AcceptBatcher, jobs: Queue, numbers: range) -> int:
        await asyncio.gather(*(batcher.accept(arrival(number)) for number in numbers))
        await asyncio.sleep(0.1)
        return jobs.count

    async def flood(client: "redis.Redis") -> None:
        async with AsyncInbox(redis_url) as inbox, asyncio.timeout(20):
            batcher = AcceptBatcher(inbox, JobQueue(client), DeliveryLog(client))
            batcher.start()
            jobs, first = open_queue(client), MAX_WAITING + 50
            found = await accept_and_count(batcher, jobs, range(first))
            while found < MAX_WAITING:
                found = await accept_and_count(batcher, jobs, range(0))
            assert found == MAX_WAITING
            client.delete(jobs.key)
            while not await accept_and_count(batcher, jobs, range(first, first + 1)):
                first += 1
            await batcher.stop()

    with connect(redis_url) as client:
        asyncio.run(flood(client))
