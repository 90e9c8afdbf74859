"""RQ jobs that tell a worker to take a batch. The inbox remembers: a lost job loses nothing."""

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import cast

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from receiver.batch_names import BatchName
from receiver.inbox.redis import translate_redis_errors

QUEUE = "gemini-batches"
FUNCTION = "workers.process.process_batch"
JOB_TIMEOUT_S = 6 * 3600
QUEUED_TTL_S = 86400
FAILURE_TTL_S = 86400
ENOUGH_WAITING = (
    100  # jobs in the queue: with so many nobody is idle, and a ring costs more than a delivery
)
FULL_S = 0.25  # how long a full queue is taken to stay full


def open_queue(client: "redis.Redis") -> Queue:
    """The one queue; its jobs are JSON, never pickles."""
    return Queue(QUEUE, connection=client, serializer=JSONSerializer)


def _job_stem(batch: str) -> str:
    """A batch's name in the few characters that RQ allows; two names that share a stem only share a wait."""
    return BatchName.read(batch).short.replace("/", "--")


class JobQueue:
    """Rings RQ through its public interface."""

    def __init__(self, client: "redis.Redis") -> None:
        self._queue = open_queue(client)
        self._full_until = 0.0

    def ring(self, batches: Iterable[str]) -> None:
        """Enqueue one job a batch. Raises InboxUnavailableError when Redis can't be asked."""
        # Each ring has an id of its own: a job that RQ lost or stuck must not swallow the next ring.
        jobs = [
            Queue.prepare_data(
                FUNCTION,
                args=(batch,),
                job_id=f"{_job_stem(batch)}-{secrets.token_hex(4)}",
                timeout=JOB_TIMEOUT_S,
                result_ttl=0,
                ttl=QUEUED_TTL_S,
                failure_ttl=FAILURE_TTL_S,
                description=batch,
            )
            for batch in batches
        ]
        with translate_redis_errors("enqueue jobs"):
            self._queue.enqueue_many(jobs)

    def room(self) -> int:
        """For how many more it makes sense to ring now; 0 or less while ENOUGH_WAITING jobs are in the queue."""
        with translate_redis_errors("count the queue"):
            return ENOUGH_WAITING - self._queue.connection.llen(self._queue.key)

    def ring_if_quiet(self, batches: Sequence[str]) -> None:
        """Ring for as many as there is room for; in a flood the sweeps ring for the rest."""
        if time.monotonic() < self._full_until:
            return
        room = self.room()
        if room > 0:
            self.ring(batches[:room])
        if room < len(batches):
            self._full_until = time.monotonic() + FULL_S

    def ring_unheard(self, batches: Iterable[str]) -> int:
        """Ring for those that do not wait in the queue already. Gives how many were rung."""
        with translate_redis_errors("list the queue"):
            found = self._queue.connection.lrange(self._queue.key, 0, -1)
        job_ids = cast("list[bytes]", found)  # the client decodes nothing
        waiting = {
            job_id.rpartition(b"-")[0] for job_id in job_ids
        }  # anybody may have put bytes there
        unheard = [batch for batch in batches if _job_stem(batch).encode() not in waiting]
        if unheard:
            self.ring(unheard)
        return len(unheard)
