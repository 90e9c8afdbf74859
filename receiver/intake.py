"""The intake: deliveries in flight share one durable write, and the bell rings behind it.

Two threads: one commits to the inbox whatever has gathered while it wrote the last group, the other rings RQ for what
was accepted, and writes notes of what was not. A ring that fails is the sweep's to repeat.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Iterator
from typing import NamedTuple

from receiver.bell import Bell
from receiver.deliveries import FLUSH_EVERY_S, Note, NoteBook
from receiver.errors import InboxUnavailableError
from receiver.inbox import Arrival, Inbox

MOST_TOGETHER = 512
ANSWER_TIMEOUT_S = 2.5  # a sender waits a few seconds; our 503 must come before it gives up
log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    arrival: Arrival
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[bool]"


class Intake:
    """Accepts arrivals from an event loop. `start` and `stop` bracket its life."""

    def __init__(self, inbox: Inbox, bell: Bell, notes: NoteBook) -> None:
        self._inbox, self._bell, self._notes = inbox, bell, notes
        self._arrivals: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._rings: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._commit_all, name="intake", daemon=True),
            threading.Thread(target=self._ring_all, name="bell", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 3) -> None:
        """Commit and ring what has gathered, then end."""
        self._arrivals.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    async def accept(self, arrival: Arrival) -> bool:
        """Record one arrival. True when it opened an entry. Raises InboxUnavailableError, within seconds."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._arrivals.put(_Waiting(arrival, loop, answer))
        try:
            return await asyncio.wait_for(answer, ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            raise InboxUnavailableError("Redis did not answer in time") from error

    def note(self, note: Note) -> None:
        """Remember a delivery that is not for the inbox, best effort; never waits."""
        self._notes.add(note)

    def _groups(self) -> Iterator[list[_Waiting]]:
        """Whatever waits, up to MOST_TOGETHER at once; ends at the stop mark."""
        while (first := self._arrivals.get()) is not None:
            group = [first]
            while len(group) < MOST_TOGETHER and not self._arrivals.empty():
                following = self._arrivals.get()
                if following is None:
                    yield group
                    return
                group.append(following)
            yield group

    def _commit_all(self) -> None:
        for group in self._groups():
            try:
                verdicts = self._inbox.accept([waiting.arrival for waiting in group])
            except InboxUnavailableError as error:
                _tell(group, error)
            else:
                _tell(group, verdicts)
                fresh = [one.arrival.batch for one, accepted in zip(group, verdicts, strict=True) if accepted]
                if fresh:
                    self._rings.put(fresh)
        self._rings.put(None)

    def _ring_all(self) -> None:
        while (batches := self._next_rings()) is not None:
            try:
                if batches:
                    self._bell.ring(batches)
                self._notes.flush()
            except InboxUnavailableError as error:
                log.warning("bell.failed", extra={"batches": len(batches), "cause": str(error)})

    def _next_rings(self) -> list[str] | None:
        """What is to ring next, or nothing after a while of silence; None at the end."""
        try:
            return self._rings.get(timeout=FLUSH_EVERY_S)
        except queue.Empty:
            return []


def _tell(group: list[_Waiting], result: list[bool] | InboxUnavailableError) -> None:
    """Hand every sender its answer, with one wake-up of the loop."""

    def answer_all() -> None:
        for number, waiting in enumerate(group):
            if waiting.answer.done():
                continue  # the sender is gone or was told to come back
            if isinstance(result, InboxUnavailableError):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result[number])

    try:
        group[0].loop.call_soon_threadsafe(answer_all)
    except RuntimeError:  # the loop closed while Redis was writing: nobody waits any more
        log.info("intake.unanswered", extra={"deliveries": len(group)})
