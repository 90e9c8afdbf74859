"""Group commit: concurrent deliveries share one durable write to the inbox.

A task commits all deliveries that arrived while it wrote the last group. A thread then enqueues a
job for each accepted batch, and logs the rejected deliveries. The sweep enqueues whatever this one
leaves out or fails to.
"""

import asyncio
import logging
import queue
import threading
from typing import NamedTuple

from receiver.errors import InboxUnavailableError
from receiver.inbox.async_ledger import AsyncInbox
from receiver.inbox.delivery_log import FLUSH_EVERY_S, DeliveryLog, RejectedDelivery
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival

MAX_BATCH_SIZE = 512
STOP_TIMEOUT_S = 1.0  # short: the sweep repeats the jobs, and the delivery log may miss some
log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    arrival: Arrival
    answer: "asyncio.Future[bool]"


class AcceptBatcher:
    """Accepts arrivals in an event loop, between `start` and `stop`."""

    def __init__(self, inbox: AsyncInbox, jobs: JobQueue, delivery_log: DeliveryLog) -> None:
        self._inbox = inbox
        self._jobs = jobs
        self._delivery_log = delivery_log
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._is_stopping = False
        self._accepted: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._enqueuer = threading.Thread(target=self._enqueue_all, name="enqueue", daemon=True)
        self._committer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From within the event loop."""
        self._committer = asyncio.create_task(self._commit_all(), name="accept")
        self._enqueuer.start()

    async def stop(self) -> None:
        """Commit and enqueue what has gathered, then end."""
        self._is_stopping = True
        self._arrived.set()
        if self._committer is not None:
            await asyncio.wait([self._committer], timeout=STOP_TIMEOUT_S)
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
        if fresh:
            self._accepted.put(fresh)

    def _enqueue_all(self) -> None:
        while (batches := self._next_accepted()) is not None:
            try:
                if batches:
                    self._jobs.enqueue_if_room(batches)
                self._delivery_log.flush()
            except InboxUnavailableError as error:
                log.warning("enqueue.failed", extra={"batches": len(batches), "cause": str(error)})

    def _next_accepted(self) -> list[str] | None:
        """The next accepted batches, or none after a second without any; None at the end."""
        try:
            return self._accepted.get(timeout=FLUSH_EVERY_S)
        except queue.Empty:
            return []
