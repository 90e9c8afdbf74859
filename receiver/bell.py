"""The doorbell: an RQ job that tells a worker to look at a batch. The inbox remembers; a lost ring loses nothing."""

import secrets
from collections.abc import Iterable

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from receiver.errors import InboxUnavailableError

QUEUE = "gemini-batches"
FUNCTION = "workers.process.process_batch"
JOB_TIMEOUT_S = 6 * 3600
QUEUED_TTL_S = 86400
FAILURE_TTL_S = 86400
MOST_WAITING = 1000


def open_queue(client: "redis.Redis") -> Queue:
    """The one queue; its jobs are JSON, never pickles."""
    return Queue(QUEUE, connection=client, serializer=JSONSerializer)


class Bell:
    """Rings RQ through its public interface."""

    def __init__(self, client: "redis.Redis") -> None:
        self._queue = open_queue(client)

    def ring(self, batches: Iterable[str]) -> None:
        """Enqueue one job a batch. Raises InboxUnavailableError when Redis can't be asked."""
        # Each ring has an id of its own: a job that RQ lost or stuck must not swallow the next ring.
        jobs = [
            Queue.prepare_data(
                FUNCTION,
                args=(batch,),
                job_id=f"{batch.removeprefix('batches/')}-{secrets.token_hex(4)}",
                timeout=JOB_TIMEOUT_S,
                result_ttl=0,
                ttl=QUEUED_TTL_S,
                failure_ttl=FAILURE_TTL_S,
                description=batch,
            )
            for batch in batches
        ]
        try:
            self._queue.enqueue_many(jobs)
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis took no job: {error}") from error

    def ring_unheard(self, batches: Iterable[str]) -> int:
        """Ring for those that do not wait in the queue already. Gives how many were rung.

        With MOST_WAITING jobs in the queue nobody is idle: the next sweeps ring for what is missing.
        """
        try:
            job_ids = self._queue.connection.lrange(self._queue.key, 0, MOST_WAITING)
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not list the queue: {error}") from error
        if len(job_ids) > MOST_WAITING:
            return 0
        waiting = {bytes(job_id).rpartition(b"-")[0] for job_id in job_ids}  # anybody may have put bytes there
        unheard = [batch for batch in batches if batch.removeprefix("batches/").encode() not in waiting]
        if unheard:
            self.ring(unheard)
        return len(unheard)
