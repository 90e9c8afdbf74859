"""Is this Redis fit to hold what is owed? Asked at the start of every process, and by `doctor`."""

import logging
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import redis
from redis.exceptions import NoPermissionError, ResponseError
from rq.job import Job

from receiver.errors import UnfitRedisError
from receiver.inbox.job_queue import open_queue
from receiver.inbox.redis import now_ms, translate_redis_errors

MAX_OFFSET_S = 5.0
JOBS_LOOKED_AT = 100
MAX_JOB_BYTES = 4096
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RedisProblem:
    """Something to know about this Redis."""

    level: Literal["refuse", "warn", "info"]
    text: str  # what is the case and what to do about it


def examine(client: "redis.Redis", *, clock: Callable[[], float] = time.time) -> list[RedisProblem]:
    """What is wrong, worst first. Raises InboxUnavailableError when Redis can't be asked."""
    with translate_redis_errors():
        if cluster := [*_check_cluster(client)]:
            return cluster  # the other questions have no answer there
        return [
            *_check_eviction(client),
            *_check_persistence(client),
            *_check_clock(client, clock),
            *_check_jobs(client),
        ]


def check_at_start(client: "redis.Redis") -> None:
    """Log what is wrong. Raises UnfitRedisError where that would lose batches, and InboxUnavailableError."""
    levels = {"refuse": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO}
    findings = examine(client)
    for finding in findings:
        log.log(levels[finding.level], "redis.checked", extra={"finding": finding.text})
    refusal = next((finding for finding in findings if finding.level == "refuse"), None)
    if refusal:
        raise UnfitRedisError(refusal.text)


def _ask(question: Callable[[], Mapping[Any, Any]], name: str) -> str | None:
    """One value of an answer; None where this Redis or its permissions don't give it."""
    try:
        value = question().get(name)
    except (NoPermissionError, ResponseError):
        return None
    return None if value is None else str(value)


def _check_cluster(client: "redis.Redis") -> Iterator[RedisProblem]:
    if _ask(lambda: client.info("cluster"), "cluster_enabled") == "1":
        why = "a step of the inbox changes several keys at once, which a cluster keeps apart"
        yield RedisProblem(
            "refuse",
            f"this Redis is a cluster, and {why}: choose a Redis with its cluster mode disabled",
        )


def _check_eviction(client: "redis.Redis") -> Iterator[RedisProblem]:
    policy = _ask(lambda: client.info("memory"), "maxmemory_policy")
    policy = policy or _ask(lambda: client.config_get("maxmemory-policy"), "maxmemory-policy")
    fix = "set `maxmemory-policy noeviction`, or choose a Redis plan that has it"
    if policy is None:
        yield RedisProblem(
            "info",
            f"Redis does not tell its eviction policy: make sure that it is noeviction ({fix})",
        )
    elif policy.startswith("allkeys-"):
        yield RedisProblem(
            "refuse",
            f"Redis drops any key when its memory is full ({policy}), so it would lose batches: {fix}",
        )
    elif policy.startswith("volatile-"):
        yield RedisProblem(
            "warn", f"Redis drops what has an expiry when its memory is full ({policy}): {fix}"
        )


def _check_persistence(client: "redis.Redis") -> Iterator[RedisProblem]:
    is_on = _ask(lambda: client.info("persistence"), "aof_enabled")
    if is_on is None:
        is_on = {"yes": "1", "no": "0"}.get(
            _ask(lambda: client.config_get("appendonly"), "appendonly") or ""
        )
    fix = "set `appendonly yes`, or choose a Redis plan with persistence"
    if is_on is None:
        yield RedisProblem(
            "info", f"Redis does not tell whether it keeps an append-only file ({fix})"
        )
    elif is_on == "0":
        yield RedisProblem(
            "warn",
            f"Redis keeps no append-only file: when it crashes, only a reconcile restores what was owed: {fix}",
        )


def _check_clock(client: "redis.Redis", clock: Callable[[], float]) -> Iterator[RedisProblem]:
    asked = clock()
    offset_s = now_ms(client) / 1000 - (asked + clock()) / 2
    if abs(offset_s) > MAX_OFFSET_S:
        fix = "set the clock of this machine by NTP; signatures are judged by it"
        direction = "behind" if offset_s > 0 else "ahead of"
        yield RedisProblem(
            "warn", f"this machine's clock is {abs(offset_s):.0f} s {direction} Redis': {fix}"
        )


def _check_jobs(client: "redis.Redis") -> Iterator[RedisProblem]:
    """RQ's own default is pickles; a program that shares the queue would have its jobs refused by our workers."""
    try:
        ids: list[Any] = client.lrange(open_queue(client).key, 0, JOBS_LOOKED_AT - 1)
    except ResponseError:
        yield RedisProblem(
            "warn",
            f"the key {open_queue(client).key} is no list: another program wrote it; delete it",
        )
        return
    pipeline = client.pipeline(transaction=False)
    for job_id in ids:
        pipeline.hget(Job.key_for(job_id.decode(errors="replace")), "data")
    foreign = sum(
        data is not None and not _is_json(data) for data in pipeline.execute(raise_on_error=False)
    )
    if foreign:
        text = f"{foreign} of the first {len(ids)} waiting RQ jobs are not JSON: another program enqueues here, or did"
        yield RedisProblem("warn", f"{text}; they are refused. Give it a Redis database of its own")


def _is_json(data: object) -> bool:
    if not isinstance(data, bytes):
        return False
    with suppress(zlib.error):  # RQ writes both forms
        data = zlib.decompressobj().decompress(data, MAX_JOB_BYTES)
    try:
        msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
