"""Our RQ worker: one queue, a SIGTERM that only sets a flag, and a work-horse that ends with its parent."""

import ctypes
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

import redis
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer

from receiver.bell import FUNCTION, Bell, open_queue
from receiver.inbox import Inbox, connect
from receiver.settings import Settings
from receiver.storage import open_storage
from receiver.sweep import Sweeper, sweep
from workers import process
from workers.shutdown import request_shutdown

DEQUEUE_S = 1  # how long a dequeue blocks: the time until the flag is seen
MONITOR_S = 5
MAINTENANCE_S = 60
END_AFTER_S = 7.0  # PaaS platforms kill ten seconds after SIGTERM
PR_SET_PDEATHSIG = 1
log = logging.getLogger(__name__)


class ForeignJobError(Exception):
    """A job in our queue names a function that is not ours; it is refused."""


class OwnJob(Job):
    """A job that can only run our function: a write to Redis is not code."""

    @property
    def func(self) -> Any:
        if self.func_name != FUNCTION:
            raise ForeignJobError(f"refused to run {self.func_name!r}: only {FUNCTION} runs here")
        return process.process_batch

    success_callback = failure_callback = stopped_callback = None


class BatchWorker(Worker):
    """Takes batches from one queue, one at a time."""

    max_connection_wait_time = 4.0  # between two tries while Redis is away
    job_class = OwnJob

    @property
    def dequeue_timeout(self) -> int:
        return DEQUEUE_S

    def request_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a signal handler
        """The first signal: finish or hand back, within END_AFTER_S. The second one kills."""
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        self._stop_requested = True
        if self.horse_pid:
            os.kill(self.horse_pid, signal.SIGTERM)
        threading.Thread(target=self._end_in_time, name="end-in-time", daemon=True).start()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - likewise
        self._end_now()

    def _end_in_time(self) -> None:
        threading.Event().wait(END_AFTER_S)
        self._end_now()

    def _end_now(self) -> None:
        if self.horse_pid:
            self.kill_horse()
        os._exit(0)

    def dequeue_job_and_maintain_ttl(
        self,
        timeout: int | None,
        max_idle_time: int | None = None,  # noqa: ARG002 - RQ passes it; we stop by the flag
    ) -> tuple[Job, Queue] | None:
        """Wait for a job, looking at the flag every DEQUEUE_S."""
        while not self._stop_requested:
            found = super().dequeue_job_and_maintain_ttl(timeout, None if timeout is None else DEQUEUE_S)
            if found is not None or timeout is None:
                return found
        raise StopRequested

    def setup_work_horse_signals(self) -> None:
        """In the work-horse: SIGTERM asks the job to hand its batch back; the parent's end ends it."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda _signum, _frame: request_shutdown())
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self.pid:  # it ended before we asked
                os._exit(1)


def _burst(worker: BatchWorker, inbox: Inbox, bell: Bell) -> None:
    """Work until nothing is due; what is postponed stays for the next run."""
    while inbox.has_due():
        sweep(inbox, bell)
        if not worker.work(burst=True):
            threading.Event().wait(DEQUEUE_S)


def run_worker(settings: Settings, *, burst: bool = False) -> None:
    """Work until SIGTERM, or in a burst until nothing is due. Raises InboxUnavailableError at start without Redis."""
    with connect(settings.redis_url) as client:
        inbox, bell = Inbox(client), Bell(client)
        inbox.ping()
        open_storage(settings.storage_url)  # a storage that can't be used stops the start
        # A connection of its own: RQ gives it the longer timeouts that a blocking dequeue needs.
        worker = BatchWorker(
            [open_queue(redis.Redis.from_url(settings.redis_url))],
            worker_ttl=2 * MAINTENANCE_S,
            serializer=JSONSerializer,
            job_monitoring_interval=MONITOR_S,
            maintenance_interval=MAINTENANCE_S,
            log_job_description=False,
        )
        if burst:
            _burst(worker, inbox, bell)
        else:
            sweeper = Sweeper(inbox, bell)
            sweeper.start()
            worker.work()
