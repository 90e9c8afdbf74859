import json
import os
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import redis

from receiver.errors import ForeignJobError
from receiver.inbox.job_queue import ADVANCE_FUNCTION, FUNCTION, JobQueue, open_queue
from workers.advance import advance_submission
from workers.process import process_batch
from workers.worker.rq_jobs import MAX_DATA_BYTES, OwnJob, find_refusal

SUBMISSION = "submissions/5d41402abc4b2a76b971"


def call(function: str = FUNCTION, *args: Any, **kwargs: Any) -> bytes:
    return zlib.compress(
        json.dumps([function, None, list(args) or ["batches/abc"], kwargs]).encode()
    )


class Shell:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({b"data": call("os.system")}, "names 'os.system'"),
        ({b"data": call(FUNCTION, "batches/../x")}, "not the one name"),
        ({b"data": call(FUNCTION, SUBMISSION)}, "not the one name"),
        ({b"data": call(ADVANCE_FUNCTION, "batches/abc")}, "not the one name"),
        ({b"data": call(ADVANCE_FUNCTION, f"{SUBMISSION}/..")}, "not the one name"),
        ({b"data": call(ADVANCE_FUNCTION, SUBMISSION, "x")}, "not the one name"),
        ({b"data": call(FUNCTION, "../batches/x")}, "not the one name"),
        ({b"data": call(FUNCTION, "a/b/batches/x")}, "not the one name"),
        ({b"data": call(FUNCTION, "batches/a", "batches/b")}, "not the one name"),
        ({b"data": call(FUNCTION, "batches/a", again=True)}, "not the one name"),
        ({b"data": call(FUNCTION, 7)}, "not the one name"),
        (
            {b"data": json.dumps([FUNCTION, {"an": "instance"}, ["batches/a"], {}]).encode()},
            "not the one name",
        ),
        ({b"data": b'{"func": "os.system"}'}, "not the one name"),
        ({b"data": zlib.compress(pickle.dumps(Shell()))}, "not readable as JSON"),
        ({b"data": zlib.compress(b"[" * 10_000_000)}, "not readable as JSON"),
        ({b"data": b"[" * MAX_DATA_BYTES}, "not readable as JSON"),
        ({b"data": b" " * (MAX_DATA_BYTES + 1)}, "not readable as JSON"),
        ({}, "not readable as JSON"),
        ({b"data": call(), b"success_callback_name": b"os.abort"}, "carries success_callback_name"),
        ({b"data": call(), b"failure_callback_name": b"os.abort"}, "carries failure_callback_name"),
        ({b"data": call(), b"stopped_callback_name": b"os.abort"}, "carries stopped_callback_name"),
        ({b"data": call(), b"webhooks": b"[]"}, "carries webhooks"),
        ({b"data": call(), b"retries_left": b"3"}, "carries retries_left"),
        ({b"data": call(), b"repeats_left": b"3"}, "carries repeats_left"),
        ({b"data": call(), b"dependency_ids": b'["x"]'}, "carries dependency_ids"),
    ],
)
def test_foreign_hash_is_refused(fields: dict[bytes, bytes], reason: str) -> None:
    assert reason in find_refusal(fields)


@pytest.fixture
def client(redis_url: str) -> "redis.Redis":
    return redis.Redis.from_url(redis_url)


def rung_job(client: "redis.Redis", batch: str = "batches/abc", **fields: str) -> OwnJob:
    """A job of our own bell, read back after somebody changed its hash."""
    JobQueue(client).enqueue([batch])
    job_id = open_queue(client).get_job_ids()[0]
    for name, value in fields.items():
        client.hset(f"rq:job:{job_id}", name, value)
    job = OwnJob.fetch(job_id, connection=client, serializer=open_queue(client).serializer)
    assert isinstance(job, OwnJob)
    return job


@pytest.mark.parametrize(
    ("batch", "function"),
    [
        ("batches/abc", process_batch),
        ("acme/batches/abc", process_batch),
        (SUBMISSION, advance_submission),
        (f"acme/{SUBMISSION}", advance_submission),
    ],
)
def test_own_ring_is_taken(
    client: "redis.Redis", batch: str, function: Callable[[str], None]
) -> None:
    job = rung_job(client, batch)
    assert (job.refusal, job.func, job.args) == ("", function, [batch])
    assert JobQueue(client).enqueue_missing([batch, "batches/other"]) == 1


def test_limits_are_not_read_from_redis(client: "redis.Redis") -> None:
    job = rung_job(client, timeout="-1", result_ttl="-1", failure_ttl="-1", origin="elsewhere")
    ours = rung_job(client)
    assert (job.timeout, job.result_ttl, job.failure_ttl, job.origin) == (
        ours.timeout,
        ours.result_ttl,
        ours.failure_ttl,
        ours.origin,
    )
    assert job.timeout
    assert job.timeout > 0


def test_nonsense_in_a_hash_is_refused(client: "redis.Redis") -> None:
    assert "not readable" in rung_job(client, created_at="never").refusal


def test_refused_job_has_no_function(client: "redis.Redis") -> None:
    with pytest.raises(ForeignJobError):
        _ = rung_job(client, webhooks="[]").func
