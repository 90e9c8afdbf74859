"""The sweep: enqueues again what is due without a job, in every worker and the web process."""

import logging
import threading
from collections.abc import Iterable, Sequence

from receiver.errors import InboxUnavailableError
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Inbox

INTERVAL_S = 2.0
log = logging.getLogger(__name__)


def sweep(ledgers: Iterable[Inbox], job_queue: JobQueue) -> int:
    """Enqueue what is due, no more than keeps the workers busy until the next sweep.

    Gives how many that were.
    """
    room, due = job_queue.room(), list[str]()
    for ledger in ledgers:
        due += ledger.take_due(room - len(due)) if room > len(due) else []
    return job_queue.enqueue_missing(due) if due else 0


class Sweeper:
    """Sweeps every INTERVAL_S in a thread of its own until stopped; waits while Redis is away."""

    def __init__(self, ledgers: Sequence[Inbox], job_queue: JobQueue) -> None:
        self._ledgers = ledgers
        self._job_queue = job_queue
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            try:
                enqueued = sweep(self._ledgers, self._job_queue)
            except InboxUnavailableError as error:
                log.warning("sweep.skipped", extra={"cause": str(error)})
            except Exception:  # the next one may go well
                log.exception("sweep.failed")
            else:
                if enqueued:
                    log.info("sweep.enqueued", extra={"batches": enqueued})
