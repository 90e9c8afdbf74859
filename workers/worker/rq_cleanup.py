"""Clears what killed workers left in RQ's registries.

RQ's own maintenance takes a lock, which a killed worker leaves behind for 15 minutes; here every
step may run twice at the same time. Nothing is put back into the queue: the inbox knows which
batches are due.
"""

import logging

import redis
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.worker_registration import clean_worker_registry

from receiver.inbox.redis import now_ms

log = logging.getLogger(__name__)


class RegistryCleaner:
    """Call `clean` regularly: a job that it sees twice in the intermediate queue is stuck there."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._seen = set[bytes]()

    def clean(self) -> None:
        """Raises redis.ConnectionError and redis.TimeoutError when Redis is away."""
        try:
            clean_worker_registry(self._queue)
            FailedJobRegistry(queue=self._queue).cleanup()
            self._drop_abandoned()
            self._drop_stuck()
        except (redis.ConnectionError, redis.TimeoutError):
            raise
        except Exception:
            # Somebody wrote nonsense there: no reason to stop working.
            log.exception("worker.books_not_cleaned")

    def _drop_abandoned(self) -> None:
        """Jobs whose worker died with them; they have no TTL any more."""
        registry = StartedJobRegistry(queue=self._queue)
        for job_id in registry.get_expired_job_ids():
            self._delete(job_id)
        now_s = now_ms(self._queue.connection) // 1000
        self._queue.connection.zremrangebyscore(registry.key, 0, now_s)

    def _drop_stuck(self) -> None:
        key, connection = self._queue.intermediate_queue_key, self._queue.connection
        waiting = {entry for entry in connection.lrange(key, 0, -1) if isinstance(entry, bytes)}
        stuck = self._seen & waiting
        for job_id in stuck:
            connection.lrem(key, 0, job_id)  # type: ignore[arg-type] # as it lies there: it need not be text
            self._delete(job_id.decode(errors="replace"))
        self._seen = waiting - stuck

    def _delete(self, job_id: str) -> None:
        self._queue.connection.delete(Job.key_for(job_id))
