"""Our RQ worker: one queue, a SIGTERM that only sets a flag, and a work-horse that ends with its parent.

The loop is ours: RQ 3.0's ends when Redis goes away at the wrong moment or a job can't be read, and waits for locks
that a killed worker left. `python -m tests.chaos` shows what that saves.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from resource import struct_rusage
from types import FrameType

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
from receiver.inbox.ledger import REDIS_TIMEOUT_S, Inbox, connect
from receiver.retry import jittered, plan_retry_s
from receiver.telemetry.log_fields import log_fields
from receiver.telemetry.tracing import hand_over
from workers.job.shared_memory import (
    clear_stop_flags,
    count_beats,
    find_lease,
    forget_lease,
    request_shutdown,
)
from workers.worker.child_process import FlagAtTimeout, explain_death, prepare_horse
from workers.worker.rq_cleanup import RegistryCleaner
from workers.worker.rq_jobs import OwnJob

DEQUEUE_S = 1  # how long a dequeue blocks: the time until the flag is seen
SILENT_LOOKS = 6  # MONITOR_S apart; counted, not timed: who was frozen together with its work-horse has not looked
HUNG_CAUSE = (
    "its work-horse hung for half a minute: does KEY_PATTERN take for ever with one of its keys?"
)
BEAT_S = 15.0
BEAT_TTL_S = 90
MONITOR_S = 5
RECONNECT_S = 1.0
DROPPED_S = 0.1  # so that an error of every turn fills no disk with its logs
END_AFTER_S = 4.5  # Fly, honcho and foreman kill five seconds after their signal
LOOK_EVERY_S = 0.25
SECOND_SIGNAL_AFTER_S = (
    1.0  # a process group and its leader may both pass the same SIGTERM on to us
)
log = logging.getLogger(__name__)


class BatchWorker(Worker):
    """Takes batches from one queue, one at a time."""

    job_class = OwnJob
    death_penalty_class = FlagAtTimeout
    _stop_asked_at = 0.0
    _next_beat = 0.0
    _breathed = 0
    _silent_looks = 0

    def __init__(self, redis_url: str, retry_base_s: float, targets: Sequence[str] = ()) -> None:
        client = connect(redis_url, timeout_s=self.connection_timeout)
        self._inbox, self._retry_base_s = Inbox(client, targets), retry_base_s
        try:
            super().__init__(
                [open_queue(client)],
                serializer=JSONSerializer,
                job_monitoring_interval=MONITOR_S,
                log_job_description=False,
            )
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not answer the worker: {error}") from error
        self._housekeeper = RegistryCleaner(self.queues[0])

    @property
    def dequeue_timeout(self) -> int:
        return DEQUEUE_S

    @property
    def connection_timeout(self) -> int:
        return int(DEQUEUE_S + REDIS_TIMEOUT_S)

    @property
    def _has_hung(self) -> bool:
        """Whether no thread of the work-horse ran for long: some call holds its interpreter."""
        return self._silent_looks >= SILENT_LOOKS

    @property
    def is_stopping(self) -> bool:
        return self._stop_requested

    def run(self, *, burst: bool = False) -> None:
        """Work until SIGTERM, through every absence of Redis; in a burst until the queue is empty."""
        signal.signal(signal.SIGINT, self.request_stop)
        signal.signal(signal.SIGTERM, self.request_stop)
        while not self._stop_requested:
            try:
                found = self._next_job(None if burst else DEQUEUE_S)
                if found is not None:
                    self.execute_job(*found)
                elif burst:
                    break
            except (redis.RedisError, OSError) as error:
                if burst:
                    raise InboxUnavailableError(
                        f"Redis did not give the next job: {error}"
                    ) from error
                log.warning("worker.paused", extra={"cause": str(error)})
                time.sleep(RECONNECT_S)
            except Exception:
                log.exception(
                    "worker.job_dropped"
                )  # the inbox still owes the batch: the sweep rings again
                time.sleep(DROPPED_S)
            finally:
                self._end_stray_horse()
        self._say_goodbye()

    def _end_stray_horse(self) -> None:
        """Never two work-horses at once, whatever took us away from the last one."""
        if self.horse_pid:
            self.kill_horse()
            self.wait_for_horse()
            self._horse_pid = 0

    def _next_job(self, timeout_s: int | None) -> tuple[Job, Queue] | None:
        self._beat()
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

    def _beat(self) -> None:
        """Tell RQ's tools that we live, and clear what killed workers left."""
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + BEAT_S
        if not self.connection.hexists(
            self.key, "birth"
        ):  # at the start, and after Redis was wiped
            self.connection.delete(self.key)
            self.register_birth()  # type: ignore[no-untyped-call] # RQ's, without types
            self.set_state(WorkerStatus.IDLE)
        self.heartbeat(BEAT_TTL_S)
        self._housekeeper.clean()

    def _say_goodbye(self) -> None:
        try:
            self.register_death()  # type: ignore[no-untyped-call] # RQ's, without types
        except redis.RedisError as error:
            log.info("worker.goodbye_unheard", extra={"cause": str(error)})

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run the job in a work-horse; refuse one that is not ours; leave one that came too late."""
        refusal = job.refusal if isinstance(job, OwnJob) else "it was not read by us"
        if refusal:
            log.error("job.refused", extra={"job": job.id, "cause": refusal})
            self.handle_job_failure(job, queue, exc_string=f"refused: {refusal}")
            queue.intermediate_queue.remove(job.id)
        elif self._stop_requested:
            self._put_back(job, queue)
        else:
            with log_fields(batch=job.args[0]):
                super().execute_job(job, queue)

    def _put_back(self, job: Job, queue: Queue) -> None:
        with self.connection.pipeline() as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
            pipeline.lpush(queue.key, job.id)
            pipeline.execute()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Redis' absence must not take the parent away from a work-horse that runs; one that hangs is ended."""
        breathed = count_beats()
        self._silent_looks = (
            self._silent_looks + 1 if breathed and breathed == self._breathed else 0
        )
        self._breathed = breathed
        if self._has_hung:
            self.kill_horse()
        try:
            super().maintain_heartbeats(job, execution)
        except redis.RedisError as error:
            log.debug("worker.beat_unheard", extra={"cause": str(error)})

    def request_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a signal handler
        """The first signal: finish or hand back, within END_AFTER_S. A second one kills."""
        request_shutdown()
        if os.getpid() != self.pid:  # a work-horse that has not set its own handler yet
            return
        self._stop_asked_at = time.monotonic()
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        self._stop_requested = True
        threading.Thread(target=self._leave, name="leave", daemon=True).start()
        threading.Thread(target=self._end_in_time, name="end-in-time", daemon=True).start()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - likewise
        if (
            os.getpid() == self.pid
            and time.monotonic() - self._stop_asked_at >= SECOND_SIGNAL_AFTER_S
        ):
            self._end_now()

    def _leave(self) -> None:
        """Tell the inbox that the work-horse may be killed now: whatever it still manages, no attempt is counted."""
        while True:
            lease = find_lease()
            try:
                if lease is not None:
                    self._inbox.leave(lease)
                    return
            except LeaseLostError:
                return  # it was handed back
            except InboxUnavailableError as error:
                log.warning("worker.leave_unheard", extra={"cause": str(error)})
            time.sleep(LOOK_EVERY_S)

    def _end_in_time(self) -> None:
        time.sleep(END_AFTER_S)
        self._end_now()

    def _end_now(self) -> None:
        if self.horse_pid:
            self.kill_horse()
        os._exit(0)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signal the work-horse alone: right after the fork, its process group is still ours and our parent's."""
        try:
            os.kill(self.horse_pid, sig)
        except ProcessLookupError:
            log.debug("worker.horse_gone")

    def handle_work_horse_killed(
        self,
        job: Job,
        retpid: int,  # noqa: ARG002 - RQ passes it
        ret_val: int,
        rusage: struct_rusage,  # noqa: ARG002 - likewise
    ) -> None:
        """Say in the inbox what happened; where Redis can't be told, the lease runs out."""
        lease = find_lease()
        cause = HUNG_CAUSE if self._has_hung else explain_death(ret_val)
        attempt = lease.attempts + 1 if lease else None  # it may have died before it had any
        log.error("worker.horse_died", extra={"job": job.id, "cause": cause, "attempt": attempt})
        if lease is not None:
            delay_s = jittered(plan_retry_s(lease.attempts, self._retry_base_s))
            with suppress(
                LeaseLostError, InboxUnavailableError
            ):  # it had handed the batch back, or the lease runs out
                self._inbox.postpone(lease, delay_s, cause, "attempts")

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        self._silent_looks = 0
        forget_lease()
        clear_stop_flags()
        if self._stop_requested:  # looked at after the wishes are gone, so that none is lost
            request_shutdown()
        super().fork_work_horse(job, queue)

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        """In the work-horse."""
        try:
            return super().perform_job(job, queue, execution)
        finally:
            hand_over()

    def setup_work_horse_signals(self) -> None:
        assert self.pid is not None  # noqa: S101 - for the type checker: a worker that works has one
        prepare_horse(self.pid)
