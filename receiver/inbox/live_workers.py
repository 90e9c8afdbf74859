"""The workers that RQ knows of, read from its own keys."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
from rq import Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from receiver.inbox.foreign import read_or, read_texts
from receiver.inbox.job_queue import QUEUE
from receiver.inbox.redis import translate_redis_errors

WORKERS = "rq:workers"  # and a queue: RQ's set of the workers that listen to it


class LiveWorker(msgspec.Struct, frozen=True):
    """A worker with a heartbeat lately; RQ forgets a killed one after 90 seconds."""

    name: str
    host: str | None
    pid: int | None
    state: str  # "idle", "busy", …
    heard_s: int | None  # seconds ago
    batch: str | None  # that it is at


@translate_redis_errors()
def find_workers(client: "redis.Redis", now_ms: int) -> list[LiveWorker]:
    """Those that are alive by Redis' clock, by name. Raises InboxUnavailableError."""
    keys: set[Any] = read_or(set[Any](), lambda: client.smembers(f"{WORKERS}:{QUEUE}"))
    found = [
        worker
        for key in read_texts(keys)
        if (worker := _find_worker(client, key, now_ms)) is not None
    ]
    return sorted(found, key=lambda one: one.name)


def _find_worker(client: "redis.Redis", key: str, now_ms: int) -> LiveWorker | None:
    """None for one that is gone, and for what is none."""
    try:
        worker = Worker.find_by_key(key, connection=client, serializer=JSONSerializer)
        if worker is None:
            return None
        return _read_worker(client, worker, worker.get_current_job_id(), now_ms)
    except (redis.ResponseError, ValueError, TypeError, LookupError):
        return None


def _read_worker(
    client: "redis.Redis", worker: BaseWorker, job_id: str | None, now_ms: int
) -> LiveWorker:
    heard = worker.last_heartbeat
    batch: Any = (
        read_or(None, lambda: client.hget(Job.key_for(job_id), "description")) if job_id else None
    )
    return LiveWorker(
        name=worker.name,
        host=worker.hostname,
        pid=worker.pid,
        state=str(worker.get_state()),
        heard_s=None if heard is None else max(0, now_ms // 1000 - int(_as_utc(heard).timestamp())),
        batch=None if batch is None else batch.decode(errors="replace"),
    )


def _as_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
