"""Enqueues notices as jobs of other RQ workers, by the name of a function, which is never imported.

A job has the id of its notice, so that a repeated try enqueues nothing twice.
"""

import functools
import time

import redis
from rq import Queue
from rq.exceptions import DuplicateJobError

from receiver.errors import NoticeError
from receiver.inbox.redis import connect
from receiver.notices.acknowledgements import Acknowledged
from receiver.notices.payloads import make_payload
from receiver.notices.queue import ClaimedNotice
from receiver.settings.notice_targets import Target
from receiver.settings.rq_functions import RqFunction

# How long RQ keeps a job that ended: a repeated try comes within seconds of the first.
RESULT_TTL_S = 3600
QUEUED_TTL_S = 30 * 86400  # as long as a notice is kept: without a worker they must not fill Redis
FAILURE_TTL_S = 30 * 86400


def name_job(notice: ClaimedNotice) -> str:
    """The id of its job: two targets in one Redis have a job each."""
    target, _, message_id = notice.name.partition("/")
    return f"{message_id}-{target}"


def enqueue_job(target: Target, notice: ClaimedNotice) -> Acknowledged:
    """Enqueue a notice. Raises NoticeError."""
    started_s, function, job_id = time.monotonic(), RqFunction.parse(target.url), name_job(notice)
    payload = make_payload(notice.type or "", notice.batch, notice.enqueued_ms, notice.data)
    queue = Queue(
        function.queue,
        connection=_client(target.redis_url),
        serializer=function.serializer,
    )
    try:
        queue.enqueue_call(
            function.function,
            args=(payload,),
            job_id=job_id,
            unique=True,
            timeout=function.timeout_s,
            ttl=QUEUED_TTL_S,
            result_ttl=RESULT_TTL_S,
            failure_ttl=FAILURE_TTL_S,
            description=f"{notice.type} {notice.batch}".strip(),
        )
    except DuplicateJobError:
        said = f"was enqueued before as {job_id}"
    except redis.RedisError as error:
        raise NoticeError(f"the Redis of {target.host} did not take the job: {error}") from error
    else:
        said = f"enqueued as {job_id}"
    return Acknowledged(None, said, time.monotonic() - started_s)


def count_workers(target: Target) -> int:
    """How many RQ workers listen to the queue of a target. Raises NoticeError."""
    queue = RqFunction.parse(target.url).queue
    try:
        return int(_client(target.redis_url).scard(f"rq:workers:{queue}"))
    except redis.RedisError as error:
        raise NoticeError(f"the Redis of {target.host} does not answer: {error}") from error


def describe_workers(count: int) -> str:
    """In words.

    >>> describe_workers(0), describe_workers(2)
    ('no worker listens to the queue', '2 workers listen to the queue')
    """
    listen = "workers listen" if count > 1 else "worker listens"
    return f"{count or 'no'} {listen} to the queue"


@functools.cache
def _client(redis_url: str) -> "redis.Redis":
    """One for the life of the process: RQ keeps every client that it has enqueued with."""
    return connect(redis_url)
