"""The sweep: rings again for what is due and not being worked on. Runs in every worker and in the web process."""

import logging
import threading

from receiver.errors import InboxUnavailableError
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Inbox

INTERVAL_S = 2.0
log = logging.getLogger(__name__)


def sweep(inbox: Inbox, bell: JobQueue) -> int:
    """One look. Gives how many batches were rung: no more than keep the workers busy until the next look."""
    room = bell.room()
    due = inbox.take_due(room) if room > 0 else []
    return bell.ring_unheard(due) if due else 0


class Sweeper:
    """Sweeps every INTERVAL_S in a thread of its own until stopped; Redis' absence is waited out."""

    def __init__(self, inbox: Inbox, bell: JobQueue) -> None:
        self._inbox, self._bell = inbox, bell
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            try:
                rung = sweep(self._inbox, self._bell)
            except InboxUnavailableError as error:
                log.warning("sweep.skipped", extra={"cause": str(error)})
            except Exception:
                log.exception(
                    "sweep.failed"
                )  # the next one may go well; a thread that ended sweeps no more
            else:
                if rung:
                    log.info("sweep.rung", extra={"batches": rung})
