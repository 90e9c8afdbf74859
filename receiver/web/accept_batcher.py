"""The intake: deliveries in flight share one durable write, and the bell rings behind it.

A task commits to the inbox whatever has gathered while it wrote the last group. A thread rings RQ for what was
accepted, and writes notes of what was not. What it leaves out or fails to ring is the sweep's to repeat.
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
STOP_TIMEOUT_S = (
    1.0  # for rings and notes: the sweep repeats the ones, and the others are a convenience
)
log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    arrival: Arrival
    answer: "asyncio.Future[bool]"


class AcceptBatcher:
    """Accepts arrivals in an event loop. `start` and `stop` bracket its life."""

    def __init__(self, acceptor: AsyncInbox, job_queue: JobQueue, notes: DeliveryLog) -> None:
        self._acceptor, self._job_queue, self._notes = acceptor, job_queue, notes
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._is_stopping = False
        self._rings: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._ringer = threading.Thread(target=self._ring_all, name="bell", daemon=True)
        self._committer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From within the event loop."""
        self._committer = asyncio.create_task(self._commit_all(), name="intake")
        self._ringer.start()

    async def stop(self) -> None:
        """Commit and ring what has gathered, then end."""
        self._is_stopping = True
        self._arrived.set()
        if self._committer is not None:
            await asyncio.wait([self._committer], timeout=STOP_TIMEOUT_S)
        self._rings.put(None)
        await asyncio.to_thread(self._ringer.join, STOP_TIMEOUT_S)

    async def accept(self, arrival: Arrival) -> bool:
        """Record one arrival. True when it opened an entry. Raises InboxUnavailableError, within seconds."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(arrival, answer))
        self._arrived.set()
        return await answer

    def note(self, note: RejectedDelivery) -> None:
        """Remember a delivery that is not for the inbox, best effort; never waits."""
        self._notes.add(note)

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
            verdicts = await self._acceptor.accept([waiting.arrival for waiting in group])
        except InboxUnavailableError as error:
            self._refuse(group, error)
        except Exception:
            log.exception(
                "intake.failed"
            )  # the next group may go well; a task that ended accepts no more
            self._refuse(group, InboxUnavailableError("the inbox failed"))
        else:
            self._answer(group, verdicts)

    def _refuse(self, group: list[_Waiting], error: InboxUnavailableError) -> None:
        """Tell these, and who came meanwhile and has waited as long."""
        refused, self._waiting = [*group, *self._waiting], []
        for waiting in refused:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)

    def _answer(self, group: list[_Waiting], verdicts: list[bool]) -> None:
        fresh = []
        for (arrival, answer), accepted in zip(group, verdicts, strict=True):
            if not answer.done():  # else the sender is gone
                answer.set_result(accepted)
            if accepted:
                fresh.append(arrival.batch)
        if fresh:
            self._rings.put(fresh)

    def _ring_all(self) -> None:
        while (batches := self._next_rings()) is not None:
            try:
                if batches:
                    self._job_queue.enqueue_if_room(batches)
                self._notes.flush()
            except InboxUnavailableError as error:
                log.warning("enqueue.failed", extra={"batches": len(batches), "cause": str(error)})

    def _next_rings(self) -> list[str] | None:
        """What is to ring next, or nothing after a while of silence; None at the end."""
        try:
            return self._rings.get(timeout=FLUSH_EVERY_S)
        except queue.Empty:
            return []
