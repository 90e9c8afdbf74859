"""How a worker stops, from its first SIGTERM or SIGINT to the end of the process.

1. The first signal sets the stop flag in shared memory and tells the loop to take no more jobs. A
   child process that runs a job sees the flag and hands its batch back.
2. A thread tells the inbox that the worker leaves: should the child be killed before it hands the
   batch back, its lease runs out soon and no attempt is counted.
3. The loop ends once the child has ended, and so does the process. After END_AFTER_S at the latest,
   another thread kills the child and ends the process.
4. A second signal does the same at once.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from receiver.errors import InboxUnavailableError, LeaseLostError
from receiver.inbox.ledgers import Ledgers
from workers.job.shared_memory import find_lease, request_shutdown

END_AFTER_S = 4.5  # Fly, honcho and foreman kill five seconds after their signal
SECOND_SIGNAL_AFTER_S = (
    1.0  # a process group and its leader may both pass the same SIGTERM on to us
)
LEAVE_EVERY_S = 0.25
log = logging.getLogger(__name__)


class StopSequence:
    """Waits for a signal to stop from `install` on."""

    def __init__(self, ledgers: Ledgers, kill_child: Callable[[], None]) -> None:
        """`kill_child` kills the child process, if there is one; it is called from any thread."""
        self._ledgers, self._kill_child = ledgers, kill_child
        self._pid = os.getpid()
        self._requested_s = 0.0  # time.monotonic of the first signal
        self.is_requested = False

    def install(self) -> None:
        """Handle the signals from now on; call it from the main thread."""
        signal.signal(signal.SIGINT, self._request)
        signal.signal(signal.SIGTERM, self._request)

    def _request(self, _signum: int, _frame: FrameType | None) -> None:
        request_shutdown()
        if os.getpid() != self._pid:  # a child process that has not set its own handler yet
            return
        self._requested_s = time.monotonic()
        self.is_requested = True
        signal.signal(signal.SIGINT, self._request_again)
        signal.signal(signal.SIGTERM, self._request_again)
        threading.Thread(target=self._leave, name="leave", daemon=True).start()
        threading.Thread(target=self._end_in_time, name="end-in-time", daemon=True).start()

    def _leave(self) -> None:
        """Until the inbox takes it, or the batch was handed back."""
        while True:
            lease = find_lease()
            try:
                if lease is not None:
                    self._ledgers.of(lease.batch).leave(lease)
                    return
            except LeaseLostError:
                return  # it was handed back
            except InboxUnavailableError as error:
                log.warning("worker.leave_unheard", extra={"cause": str(error)})
            time.sleep(LEAVE_EVERY_S)

    def _end_in_time(self) -> None:
        time.sleep(END_AFTER_S)
        self._end_now()

    def _request_again(self, _signum: int, _frame: FrameType | None) -> None:
        is_later = time.monotonic() - self._requested_s >= SECOND_SIGNAL_AFTER_S
        if os.getpid() == self._pid and is_later:
            self._end_now()

    def _end_now(self) -> None:
        self._kill_child()
        os._exit(0)
