"""RQ jobs that tell a worker to take a batch. The inbox remembers: a lost job loses nothing."""

import secrets
from collections.abc import Iterable, Sequence
from typing import cast

import redis
from rq import Queue
from rq.queue import EnqueueData
from rq.serializers import JSONSerializer

from receiver.batch_names import BatchName, SubmissionName
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import translate_redis_errors
from receiver.settings.rq_functions import OWN_QUEUE

QUEUE = OWN_QUEUE
FUNCTION = "workers.process.process_batch"
ADVANCE_FUNCTION = "workers.advance.advance_submission"
AGAIN_FUNCTION = "workers.submissions.sending_again.send_failed_again"
AGAIN_STEM = "again----"  # before the stem of the batch: it is no job that stores it
JOB_TIMEOUT_S = 6 * 3600
QUEUED_TTL_S = 86400
FAILURE_TTL_S = 86400
MAX_WAITING = 100  # jobs in the queue: with so many no worker is idle


def open_queue(client: "redis.Redis") -> Queue:
    """The one queue; its jobs are JSON, never pickles."""
    return Queue(QUEUE, connection=client, serializer=JSONSerializer)


def _job_stem(batch: str) -> str:
    """A batch's name in the characters that RQ allows."""
    name = SubmissionName.read(batch) or BatchName.read(batch)
    return f"{name.project}--{name.id}" if name.project else name.id


def _make_job(function: str, batch: str, stem: str) -> EnqueueData:
    """Each has an id of its own: one that RQ lost or that hangs must not swallow the next."""
    return Queue.prepare_data(
        function,
        args=(batch,),
        job_id=f"{stem}-{secrets.token_hex(4)}",
        timeout=JOB_TIMEOUT_S,
        result_ttl=0,
        ttl=QUEUED_TTL_S,
        failure_ttl=FAILURE_TTL_S,
        description=batch,
    )


def _function_for(name: str) -> str:
    return FUNCTION if SubmissionName.read(name) is None else ADVANCE_FUNCTION


class JobQueue:
    """Enqueues RQ jobs. Every call raises InboxUnavailableError when Redis can't be asked."""

    def __init__(self, client: "redis.Redis") -> None:
        self._queue = open_queue(client)

    def enqueue(self, batches: Iterable[str]) -> None:
        """Enqueue one job per batch."""
        jobs = [_make_job(_function_for(batch), batch, _job_stem(batch)) for batch in batches]
        with translate_redis_errors("enqueue jobs"):
            self._queue.enqueue_many(jobs)

    def enqueue_again(self, batch: str) -> None:
        """Enqueue the job that sends the failed requests of a stored batch again."""
        job = _make_job(AGAIN_FUNCTION, batch, AGAIN_STEM + _job_stem(batch))
        with translate_redis_errors("enqueue the job"):
            self._queue.enqueue_many([job])

    def room(self) -> int:
        """How many more jobs make sense now; 0 or less while MAX_WAITING are in the queue."""
        with translate_redis_errors("count the queue"):
            return MAX_WAITING - self._queue.connection.llen(self._queue.key)

    def enqueue_if_room(self, batches: Sequence[str]) -> bool:
        """Enqueue as many as there is room for; in a flood the sweeps enqueue the rest.

        False where there was too little.
        """
        room = self.room()
        if room > 0:
            self.enqueue(batches[:room])
        return room >= len(batches)

    def enqueue_missing(self, batches: Iterable[str]) -> int:
        """Enqueue those that have no job in the queue. Gives how many that were."""
        with translate_redis_errors("list the queue"):
            found = self._queue.connection.lrange(self._queue.key, 0, -1)
        job_ids = cast("list[bytes]", found)  # the client decodes nothing
        waiting = {job_id.rpartition(b"-")[0] for job_id in job_ids}  # anybody may write there

        missing = [batch for batch in batches if _job_stem(batch).encode() not in waiting]
        if missing:
            self.enqueue(missing)
        return len(missing)


def accept_and_enqueue(inbox: Inbox, job_queue: JobQueue, arrivals: Sequence[Arrival]) -> set[str]:
    """Record arrivals, and enqueue the batches whose entries they open. Gives those."""
    opened = inbox.accept(arrivals)
    fresh = {one.batch for one, is_opened in zip(arrivals, opened, strict=True) if is_opened}
    job_queue.enqueue(fresh)
    return fresh
