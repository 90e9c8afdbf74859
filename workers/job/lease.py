"""Keeps a lease alive while a job works, tells the job when to stop, and the inbox how it ended."""

import logging
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Self, TypeVar

from receiver.errors import (
    Fault,
    InboxUnavailableError,
    LeaseLostError,
    OutOfTimeError,
    ReceiverError,
    ShuttingDownError,
)
from receiver.inbox.entries import State
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.ledger import LEASE_S, Fact, Inbox, Lease
from receiver.notices.payloads import Message
from receiver.retry import Counter
from receiver.telemetry.tracing import ContextThread
from workers.job.shared_memory import (
    beat,
    forget_lease,
    is_out_of_time,
    is_shutting_down,
    remember_lease,
)
from workers.results.doubts import ReadingSeries

RENEW_EVERY_S = LEASE_S / 4
POLL_EVERY_S = 0.25
STOP_GRACE_S = 3.0  # a job hands its batch back between two steps; one that hangs is cut off then
REDIS_PATIENCE_S = 300.0  # how long the end of a job waits for Redis to come back
REDIS_RETRY_S = 0.5
TIMEOUT_RETRY_S = 60.0
SHUTDOWN_CAUSE = "its worker was shut down"
TIMEOUT_CAUSE = "the job took longer than its time limit"
T = TypeVar("T")
log = logging.getLogger(__name__)


def clock_s() -> float:
    """Seconds that pass while the machine sleeps, too: its lease is over when it wakes up."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def claim(inbox: Inbox, batch: str) -> tuple[Lease | None, float]:
    """Claim a batch; gives the lease, and what `clock_s` said before the claim.

    An answer that was lost is asked for again for LEASE_S: nobody else can hand the batch back, and
    its lease would run out as if we had died. Raises InboxUnavailableError.
    """
    claim_id, deadline_s = secrets.token_hex(8), clock_s() + LEASE_S
    while True:
        started_s = clock_s()
        try:
            return inbox.claim(batch, claim_id=claim_id), started_s
        except InboxUnavailableError:
            if is_shutting_down() or started_s > deadline_s:
                raise
        time.sleep(REDIS_RETRY_S)


class LeaseKeeper:
    """A context manager that renews a lease in a thread; `check` raises once the job must stop."""

    def __init__(
        self,
        inbox: Inbox,
        lease: Lease,
        claim_started_s: float,
        progress: Callable[[], JobProgress | None] = lambda: None,
    ) -> None:
        """`claim_started_s` is what `clock_s` said before the claim.

        `progress` is asked at every renewal, from another thread.
        """
        self._inbox, self.lease, self._progress = inbox, lease, progress
        self._held_until_s = claim_started_s + LEASE_S
        self._lost = False
        self._stop_seen_s: float | None = None
        self._ended = Event()
        self._unrecorded: tuple[Fact, str] | None = None
        self.submission = ""  # the one to wake when the batch ends, by its name in the inbox
        self._thread = ContextThread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        remember_lease(self.lease)
        beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        forget_lease()

    def check(self) -> None:
        """Call before every write. Raises LeaseLostError, ShuttingDownError or OutOfTimeError."""
        if self._lost:
            raise LeaseLostError(f"{self.lease.batch} is no longer ours")
        if clock_s() > self._held_until_s:
            raise LeaseLostError(f"the lease on {self.lease.batch} could not be renewed")
        if is_shutting_down():
            raise ShuttingDownError(SHUTDOWN_CAUSE)
        if is_out_of_time():
            raise OutOfTimeError(TIMEOUT_CAUSE)

    def finish(self, summary: Summary, message: Message) -> bool:
        """Mark the batch as stored, and enqueue its notice.

        Returns False when somebody else has the batch, which harms nothing.
        """

        def finish() -> bool:
            self._record()
            return self._inbox.finish(self.lease, summary, message.encode(), self.submission)

        try:
            return self._retry_while_redis_is_away(finish)
        except LeaseLostError:
            return False

    def record(self, fact: Fact, text: str) -> None:
        """Keep a fact with the entry; while Redis is away, not before `finish`.

        Raises LeaseLostError when somebody else has the batch.
        """
        self._unrecorded = fact, text
        with suppress(InboxUnavailableError):
            self._record()

    def _record(self) -> None:
        if self._unrecorded is not None:
            self._inbox.record(self.lease, *self._unrecorded)
            self._unrecorded = None

    def expire(self, summary: Summary, cause: str) -> bool:
        """End a batch whose results are gone for good.

        Returns False when somebody else has the batch, which harms nothing.
        """
        return self._retry_while_redis_is_away(
            lambda: self._inbox.expire(self.lease, summary, cause, self.submission)
        )

    def keep(self, summary: Summary, cause: str) -> bool:
        """Leave the batch as it was stored before.

        Returns False when somebody else has the batch, which harms nothing.
        """
        return self._retry_while_redis_is_away(lambda: self._inbox.keep(self.lease, summary, cause))

    def postpone(self, delay_s: float, cause: str, counter: Counter) -> State:
        """Hand the batch back for later. Raises LeaseLostError when somebody else has it."""
        return self._retry_while_redis_is_away(
            lambda: self._inbox.postpone(self.lease, delay_s, cause, counter)
        )

    def rest(self, delay_s: float, cause: str) -> None:
        """Hand back what has done all that it can for now; what was counted is forgotten.

        Raises LeaseLostError when somebody else has it.
        """
        self._retry_while_redis_is_away(lambda: self._inbox.rest(self.lease, delay_s, cause))

    def look_again(self, delay_s: float, cause: str) -> None:
        """Hand it back for later, with nothing counted and nothing forgotten.

        Raises LeaseLostError when somebody else has it.
        """
        self._retry_while_redis_is_away(lambda: self._inbox.look_again(self.lease, delay_s, cause))

    def add_reading(self, size_bytes: int, sha256: str) -> ReadingSeries:
        """Remember a doubted reading; returns all of them.

        Raises LeaseLostError when somebody else has the batch.
        """
        return ReadingSeries(
            *self._retry_while_redis_is_away(
                lambda: self._inbox.add_reading(self.lease, size_bytes, sha256)
            )
        )

    def release(self, cause: str) -> None:
        """Hand the batch back at once, and count no attempt.

        Raises LeaseLostError when somebody else has the batch.
        """
        self._retry_while_redis_is_away(lambda: self._inbox.release(self.lease, cause))

    def bury(self, cause: str, fault: Fault = "batch") -> None:
        """Leave the batch to a person. Raises LeaseLostError when somebody else has it."""
        self._retry_while_redis_is_away(
            lambda: self._inbox.bury(self.lease, cause, fault, self.submission)
        )

    def _retry_while_redis_is_away(self, step: Callable[[], T]) -> T:
        """An end of which Redis is not told would count as a crash."""
        deadline_s = clock_s() + REDIS_PATIENCE_S
        while True:
            try:
                return step()
            except InboxUnavailableError as error:
                if clock_s() > deadline_s:
                    raise
                log.info("lease.redis_away", extra={"cause": str(error)})
            time.sleep(REDIS_RETRY_S)

    def _run(self) -> None:
        renewed_s = clock_s()
        while not self._ended.wait(POLL_EVERY_S):
            beat()
            if is_shutting_down() or is_out_of_time():
                self._end_if_late()
            elif not self._lost and clock_s() - renewed_s >= RENEW_EVERY_S:
                renewed_s = clock_s()
                self._renew(renewed_s)

    def _renew(self, started_s: float) -> None:
        try:
            self._inbox.renew(self.lease, progress=self._progress())
        except LeaseLostError:
            self._lost = True
            log.warning("lease.lost")
        except InboxUnavailableError as error:
            log.warning("lease.not_renewed", extra={"cause": str(error)})
        else:
            self._held_until_s = started_s + LEASE_S

    def _end_if_late(self) -> None:
        """Once STOP_GRACE_S is over, hand the batch back for the job and end the process."""
        if self._stop_seen_s is None:
            self._stop_seen_s = clock_s()
        if clock_s() - self._stop_seen_s < STOP_GRACE_S:
            return
        try:
            if is_shutting_down():
                self._inbox.release(self.lease, SHUTDOWN_CAUSE)
            else:
                self._inbox.postpone(self.lease, TIMEOUT_RETRY_S, TIMEOUT_CAUSE, "attempts")
        except ReceiverError as error:
            log.warning("lease.not_released", extra={"cause": str(error)})
        os._exit(0)
