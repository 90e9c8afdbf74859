"""Our RQ worker: one queue, and a child process per job that ends with its worker.

The loop is ours: that of RQ 3.0 ends when Redis goes away at the wrong moment or a job can't be
read, and it waits for locks that a killed worker left. `python -m tests.chaos` shows what ours
saves. RQ calls the child process a work horse.
"""

import logging
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from resource import struct_rusage

import redis
from rq import Queue, Worker
from rq.exceptions import DequeueTimeout
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import get_version
from rq.worker.base import WorkerStatus

from receiver.errors import InboxUnavailableError, LeaseLostError
from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledgers import open_ledgers
from receiver.inbox.redis import REDIS_TIMEOUT_S, connect, translate_redis_errors
from receiver.retry import jittered, plan_retry_s
from receiver.telemetry.tracing import flush_spans, log_fields
from workers.job.shared_memory import (
    clear_stop_flags,
    count_beats,
    find_lease,
    forget_lease,
    request_shutdown,
)
from workers.worker.child_process import FlagAtTimeout, explain_death, prepare_child
from workers.worker.rq_cleanup import RegistryCleaner
from workers.worker.rq_jobs import OwnJob, field_of
from workers.worker.stop_sequence import StopSequence

DEQUEUE_S = 1  # how long a dequeue blocks, and so the time until a stop is seen
MONITOR_S = 5  # between two checks of a running job
# Counted, not timed: a worker that was frozen together with its child has checked nothing.
MAX_MISSED_BEATS = 6
HUNG_CAUSE = (
    "the process of its job hung for half a minute: "
    "does KEY_PATTERN take forever with one of its keys?"
)
HEARTBEAT_S = 15.0  # of the worker, for RQ's tools
HEARTBEAT_TTL_S = 90
RECONNECT_S = 1.0
DROPPED_S = 0.1  # so that an error that comes back at once does not fill the disk with logs
log = logging.getLogger(__name__)


class BatchWorker(Worker):
    """Takes batches from one queue, one at a time."""

    job_class = OwnJob
    death_penalty_class = FlagAtTimeout

    _next_heartbeat_s = 0.0
    _last_beats = 0
    _missed_beats = 0

    def __init__(self, redis_url: str, retry_base_s: float, targets: Sequence[str] = ()) -> None:
        """`targets` are the digests of the notice targets. Raises InboxUnavailableError."""
        client = connect(redis_url, timeout_s=self.connection_timeout)
        self._ledgers, self._retry_base_s = open_ledgers(client, targets), retry_base_s
        self.stop_sequence = StopSequence(self._ledgers, self._kill_child)
        with translate_redis_errors("answer the worker"):
            super().__init__(
                [open_queue(client)],
                serializer=JSONSerializer,
                job_monitoring_interval=MONITOR_S,
                log_job_description=False,
            )
        self._cleaner = RegistryCleaner(self.queues[0])

    @property
    def connection_timeout(self) -> int:
        return int(DEQUEUE_S + REDIS_TIMEOUT_S)

    def run(self, *, burst: bool = False) -> None:
        """Work until a signal to stop, through any absence of Redis.

        In a burst, work until the queue is empty; raises InboxUnavailableError.
        """
        self.stop_sequence.install()
        while not self.stop_sequence.is_requested:
            try:
                found = self._next_job(None if burst else DEQUEUE_S)
                if found is not None:
                    self.execute_job(*found)
                elif burst:
                    break
            except (redis.RedisError, OSError) as error:
                if burst:
                    words = f"Redis did not give the next job: {error}"
                    raise InboxUnavailableError(words) from error
                log.warning("worker.paused", extra={"cause": str(error)})
                time.sleep(RECONNECT_S)
            except Exception:
                # The batch is still due in the inbox: the sweep queues it again.
                log.exception("worker.job_dropped")
                time.sleep(DROPPED_S)
            finally:
                self._end_stray_child()
        self._deregister()

    def _next_job(self, timeout_s: int | None) -> tuple[Job, Queue] | None:
        self._send_heartbeat()
        try:
            found = Queue.dequeue_any(
                self.queues,
                timeout_s,
                connection=self.connection,
                job_class=OwnJob,
                serializer=JSONSerializer,
            )
        except DequeueTimeout:
            return None
        if found is not None:
            found[0].redis_server_version = get_version(self.connection)
        return found

    def _send_heartbeat(self) -> None:
        """Tell RQ's tools that this worker is alive, and clear what killed workers left."""
        if time.monotonic() < self._next_heartbeat_s:
            return
        self._next_heartbeat_s = time.monotonic() + HEARTBEAT_S

        is_known = self.connection.hexists(self.key, "birth")
        if not is_known:  # at the start, and after Redis was emptied
            self.connection.delete(self.key)
            self.register_birth()  # type: ignore[no-untyped-call] # RQ's, without types
            self.set_state(WorkerStatus.IDLE)
        self.heartbeat(HEARTBEAT_TTL_S)
        self._cleaner.clean()

    def _deregister(self) -> None:
        try:
            self.register_death()  # type: ignore[no-untyped-call] # RQ's, without types
        except redis.RedisError as error:
            log.info("worker.goodbye_unheard", extra={"cause": str(error)})

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run the job in a child process; bury one that is not ours, put one back that is late."""
        refusal = job.refusal if isinstance(job, OwnJob) else "it was not read by us"
        if refusal:
            log.error("job.refused", extra={"job": job.id, "cause": refusal})
            self.handle_job_failure(job, queue, exc_string=f"refused: {refusal}")
            queue.intermediate_queue.remove(job.id)
        elif self.stop_sequence.is_requested:
            self._put_back(job, queue)
        else:
            with log_fields(**{field_of(job.args[0]): job.args[0]}):
                super().execute_job(job, queue)

    def _put_back(self, job: Job, queue: Queue) -> None:
        with self.connection.pipeline() as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
            pipeline.lpush(queue.key, job.id)
            pipeline.execute()

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        self._missed_beats = 0
        forget_lease()
        clear_stop_flags()
        if self.stop_sequence.is_requested:  # asked after the flags are cleared: none gets lost
            request_shutdown()
        super().fork_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """In the child process."""
        assert self.pid is not None  # noqa: S101 - for the type checker: a worker that works has one
        prepare_child(self.pid)

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        """In the child process."""
        try:
            return super().perform_job(job, queue, execution)
        finally:
            flush_spans()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Every MONITOR_S while the child process runs: end one that hangs.

        That Redis is away is no reason to stop watching the child.
        """
        beats = count_beats()
        is_silent = beats and beats == self._last_beats
        self._missed_beats = self._missed_beats + 1 if is_silent else 0
        self._last_beats = beats
        if self._has_hung:
            self.kill_horse()
        try:
            super().maintain_heartbeats(job, execution)
        except redis.RedisError as error:
            log.debug("worker.beat_unheard", extra={"cause": str(error)})

    @property
    def _has_hung(self) -> bool:
        """Whether no thread of the child ran for long: some call holds its interpreter."""
        return self._missed_beats >= MAX_MISSED_BEATS

    def handle_work_horse_killed(
        self,
        job: Job,
        retpid: int,  # noqa: ARG002 - RQ passes it
        ret_val: int,
        rusage: struct_rusage,  # noqa: ARG002 - likewise
    ) -> None:
        """Tell the inbox what happened; where Redis is away, the lease runs out."""
        lease = find_lease()
        cause = HUNG_CAUSE if self._has_hung else explain_death(ret_val)
        attempt = lease.attempts + 1 if lease else None  # it may have died before it had a lease
        log.error("worker.horse_died", extra={"job": job.id, "cause": cause, "attempt": attempt})
        if lease is None:
            return

        delay_s = jittered(plan_retry_s(lease.attempts, self._retry_base_s))
        # The child had handed the batch back before it died, or the lease runs out.
        with suppress(LeaseLostError, InboxUnavailableError):
            self._ledgers.of(lease.batch).postpone(lease, delay_s, cause, "attempts")

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signal the child process alone: right after the fork, it is in our parent's group."""
        try:
            os.kill(self.horse_pid, sig)
        except ProcessLookupError:
            log.debug("worker.horse_gone")

    def _kill_child(self) -> None:
        if self.horse_pid:
            self.kill_horse()

    def _end_stray_child(self) -> None:
        """Never two child processes at once, whatever took us away from the last one."""
        if self.horse_pid:
            self.kill_horse()
            self.wait_for_horse()
            self._horse_pid = 0
