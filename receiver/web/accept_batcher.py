"""Group commit: concurrent deliveries share one durable write to the inbox.

Two tasks take turns: while Redis records the group of one, the other gathers the next. A thread
then enqueues a job for each accepted batch, and logs the rejected deliveries. The sweep enqueues
whatever this one leaves out or fails to.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Self

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from receiver.errors import InboxUnavailableError
from receiver.inbox.delivery_log import FLUSH_EVERY_S, DeliveryLog, RejectedDelivery
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival, accept_args, read_verdicts
from receiver.inbox.redis import (
    CLOSING_ERRORS,
    KEYS,
    RECONCILE,
    REDIS_TIMEOUT_S,
    driver_info,
    read_script,
)

MAX_BATCH_SIZE = 512
COMMITTERS = 2  # groups on their way to Redis at once, each over a connection of its own
FULL_PAUSE_S = 0.25  # how long a full queue of jobs is taken to stay full
STOP_TIMEOUT_S = 1.0  # short: the sweep repeats the jobs, and the delivery log may miss some
log = logging.getLogger(__name__)


class AsyncInbox:
    """Async twin of `Inbox.accept`: running that in a thread would cost a GIL switch per delivery.

    It opens a connection for each call at a time. Use as an async context manager.
    """

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            # On a new connection; to accept twice is harmless.
            retry=Retry(NoBackoff(), 1, CLOSING_ERRORS),
            health_check_interval=0,
            driver_info=driver_info(),
        )
        self._script = self._client.register_script(read_script("accept"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def accept(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Record all arrivals in one atomic step. True where one opened an entry.

        Raises InboxUnavailableError within REDIS_TIMEOUT_S.
        """
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                return read_verdicts(
                    await self._script(keys=(*KEYS, RECONCILE), args=accept_args(arrivals))
                )
        except (redis.RedisError, TimeoutError, OSError) as error:
            raise InboxUnavailableError(f"Redis did not accept: {error!r}") from error


class _Waiting(NamedTuple):
    arrival: Arrival
    answer: "asyncio.Future[bool]"


class AcceptBatcher:
    """Accepts arrivals in an event loop, between `start` and `stop`."""

    def __init__(self, inbox: AsyncInbox, jobs: JobQueue, delivery_log: DeliveryLog) -> None:
        self._inbox = inbox
        self._jobs = jobs
        self._delivery_log = delivery_log
        self.shapes, self.contents = delivery_log.shapes, delivery_log.contents
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._is_stopping = False
        self._accepted: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._enqueuer = threading.Thread(target=self._enqueue_all, name="enqueue", daemon=True)
        self._full_until = 0.0
        self._committers = list[asyncio.Task[None]]()

    def start(self) -> None:
        """From within the event loop."""
        self._committers = [
            asyncio.create_task(self._commit_all(), name=f"accept-{number}")
            for number in range(COMMITTERS)
        ]
        self._enqueuer.start()

    async def stop(self) -> None:
        """Commit and enqueue what has gathered, then end."""
        self._is_stopping = True
        self._arrived.set()
        if self._committers:
            await asyncio.wait(self._committers, timeout=STOP_TIMEOUT_S)
        self._accepted.put(None)
        await asyncio.to_thread(self._enqueuer.join, STOP_TIMEOUT_S)

    async def accept(self, arrival: Arrival) -> bool:
        """Record one arrival. True when it opened an entry.

        Raises InboxUnavailableError, within seconds.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(arrival, answer))
        self._arrived.set()
        return await answer

    def note(self, note: RejectedDelivery) -> None:
        """Log a delivery that is not for the inbox, best effort; never waits."""
        self._delivery_log.add(note)

    async def _commit_all(self) -> None:
        while self._waiting or not self._is_stopping:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            group, self._waiting = self._waiting[:MAX_BATCH_SIZE], self._waiting[MAX_BATCH_SIZE:]
            await self._commit(group)

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            verdicts = await self._inbox.accept([waiting.arrival for waiting in group])
        except InboxUnavailableError as error:
            self._refuse(group, error)
        except Exception:
            # The next group may succeed; a task that ended would accept no more.
            log.exception("accept.failed")
            self._refuse(group, InboxUnavailableError("the inbox failed"))
        else:
            self._answer(group, verdicts)

    def _refuse(self, group: list[_Waiting], error: InboxUnavailableError) -> None:
        """Fail these, and those that arrived meanwhile: they have waited for Redis too."""
        refused, self._waiting = [*group, *self._waiting], []
        for waiting in refused:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)

    def _answer(self, group: list[_Waiting], verdicts: list[bool]) -> None:
        fresh = []
        for (arrival, answer), accepted in zip(group, verdicts, strict=True):
            if not answer.done():  # else the sender has gone
                answer.set_result(accepted)
            if accepted:
                fresh.append(arrival.batch)
        # Waking the thread takes the GIL from the loop.
        if fresh and time.monotonic() >= self._full_until:
            self._accepted.put(fresh)

    def _enqueue_all(self) -> None:
        while (batches := self._next_accepted()) is not None:
            try:
                if batches and not self._jobs.enqueue_if_room(batches):
                    self._full_until = time.monotonic() + FULL_PAUSE_S
                self._delivery_log.flush()
            except InboxUnavailableError as error:
                log.warning("enqueue.failed", extra={"batches": len(batches), "cause": str(error)})

    def _next_accepted(self) -> list[str] | None:
        """The next accepted batches, or none after a second without any; None at the end."""
        try:
            return self._accepted.get(timeout=FLUSH_EVERY_S)
        except queue.Empty:
            return []
