"""Keeps a lease alive while a job works, and tells the job when to stop."""

import logging
import os
import threading
import time
from types import TracebackType
from typing import Self

from receiver.errors import InboxUnavailableError, LeaseLostError, ReceiverError
from receiver.inbox import LEASE_S, Inbox, Lease
from workers.shutdown import is_shutting_down

RENEW_EVERY_S = LEASE_S / 4
LOOK_EVERY_S = 0.25
SHUTDOWN_GRACE_S = 4.0  # a job between two steps hands its batch back by itself; one that hangs is cut off then
SHUTDOWN_CAUSE = "its worker was shut down"
log = logging.getLogger(__name__)


class ShuttingDownError(ReceiverError):
    """The process was asked to stop; the batch goes back uncounted."""

    retryable = True


class LeaseKeeper:
    """Renews in a thread of its own for the length of a `with`; `check` raises once the job must stop."""

    def __init__(self, inbox: Inbox, lease: Lease) -> None:
        self._inbox, self.lease = inbox, lease
        self._held_until = time.monotonic() + LEASE_S
        self._lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Call before every write. Raises LeaseLostError or ShuttingDownError."""
        if self._lost or time.monotonic() > self._held_until:
            raise LeaseLostError(f"{self.lease.batch} is no longer ours")
        if is_shutting_down():
            raise ShuttingDownError(SHUTDOWN_CAUSE)

    def _keep(self) -> None:
        renewed = time.monotonic()
        while not self._ended.wait(LOOK_EVERY_S) and not self._lost:
            if is_shutting_down():
                self._cut_off()
            elif time.monotonic() - renewed >= RENEW_EVERY_S:
                renewed = time.monotonic()
                self._renew(renewed)

    def _renew(self, asked: float) -> None:
        try:
            self._inbox.renew(self.lease)
        except LeaseLostError:
            self._lost = True
            log.warning("lease.lost", extra={"batch": self.lease.batch})
        except InboxUnavailableError as error:
            log.warning("lease.not_renewed", extra={"batch": self.lease.batch, "cause": str(error)})
        else:
            self._held_until = asked + LEASE_S

    def _cut_off(self) -> None:
        """Wait for the job to end by itself; when it does not, hand the batch back and end the process."""
        if self._ended.wait(SHUTDOWN_GRACE_S):
            return
        try:
            self._inbox.release(self.lease, SHUTDOWN_CAUSE)
        except ReceiverError as error:
            log.warning("lease.not_released", extra={"batch": self.lease.batch, "cause": str(error)})
        os._exit(0)
