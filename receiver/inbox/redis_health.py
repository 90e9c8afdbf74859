"""Is this Redis fit to hold the inbox? Every process asks at its start, and `doctor`."""

import functools
import logging
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import msgspec
import redis
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from rq.job import Job

from receiver.errors import UnfitRedisError
from receiver.inbox.job_queue import open_queue
from receiver.inbox.redis import RQ_WRITE_PROBE, WRITE_PROBE, now_ms, translate_redis_errors

MAX_OFFSET_S = 5.0
MAX_JOBS = 100
MAX_JOB_BYTES = 4096
WRITE_REFUSALS = {
    "OOM": "Redis is full and takes no writes: raise its `maxmemory`, or see what else fills it",
    "READONLY": "this Redis is a read-only replica: let REDIS_URL name the primary",
    "MISCONF": "Redis takes no writes since it can't save them to its disk: see that the disk has"
    " room and is writable",
    "NOPERM": "the Redis user of REDIS_URL may not write: give it all commands on the keys `gbr:*`"
    " and `rq:*`",
    "NOREPLICAS": "Redis takes no writes since too few replicas follow it: bring them back, or"
    " lower `min-replicas-to-write`",
    "LOADING": "Redis is still loading its data",
    "MASTERDOWN": "this Redis is a replica that has lost its primary: let REDIS_URL name the"
    " primary",
}
_REFUSAL_CODES = re.compile(rf"\b({'|'.join(WRITE_REFUSALS)})\b")
_REFUSAL_CLASSES = (
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (NoPermissionError, "NOPERM"),
    (BusyLoadingError, "LOADING"),
    (MasterDownError, "MASTERDOWN"),
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RedisProblem:
    """Something to know about this Redis."""

    level: Literal["refuse", "warn", "info"]
    text: str  # what is the case and what to do about it


@translate_redis_errors()
def examine(client: "redis.Redis", *, clock: Callable[[], float] = time.time) -> list[RedisProblem]:
    """What is wrong, worst first. Raises InboxUnavailableError when Redis can't be asked."""
    if cluster := [*_check_cluster(client)]:
        return cluster  # the other questions have no answer there
    return [
        *_check_eviction(client),
        *_check_persistence(client),
        *_check_clock(client, clock),
        *_check_jobs(client),
    ]


def check_at_start(client: "redis.Redis") -> None:
    """Log what is wrong. Raises UnfitRedisError where that would lose batches.

    Raises InboxUnavailableError when Redis can't be asked.
    """
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
            f"Redis drops any key when its memory is full ({policy}), so it would lose batches:"
            f" {fix}",
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
            "Redis keeps no append-only file: when it crashes, only a reconcile run restores what"
            f" was pending: {fix}",
        )


def _check_clock(client: "redis.Redis", clock: Callable[[], float]) -> Iterator[RedisProblem]:
    before_s = clock()
    offset_s = now_ms(client) / 1000 - (before_s + clock()) / 2
    if abs(offset_s) > MAX_OFFSET_S:
        fix = "set the clock of this machine by NTP; signatures are judged by it"
        direction = "behind" if offset_s > 0 else "ahead of"
        yield RedisProblem(
            "warn", f"this machine's clock is {abs(offset_s):.0f} s {direction} Redis': {fix}"
        )


def _check_jobs(client: "redis.Redis") -> Iterator[RedisProblem]:
    """Jobs of another program that shares the queue: RQ pickles them by default, we refuse that."""
    try:
        ids: list[Any] = client.lrange(open_queue(client).key, 0, MAX_JOBS - 1)
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
        which = f"{foreign} of the first {len(ids)} waiting RQ jobs are not JSON"
        cause = "another program enqueues here, or did; they are refused"
        yield RedisProblem("warn", f"{which}: {cause}. Give it a Redis database of its own")


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


@translate_redis_errors()
def find_write_obstacle(client: "redis.Redis", *keys: str) -> str | None:
    """In words why Redis takes no write, and what to do; None where it does.

    It may answer every question and still refuse writes. Nothing stays of what this writes.
    Raises InboxUnavailableError when Redis does not answer.
    """
    try:
        client.register_script(_read_probe())(keys=keys or (WRITE_PROBE, RQ_WRITE_PROBE))
    except (ResponseError, BusyLoadingError, MasterDownError) as error:
        return _explain_refusal(error)
    return None


@functools.cache
def _read_probe() -> str:
    return (resources.files("receiver.inbox") / "lua" / "probe.lua").read_text()


def _explain_refusal(error: redis.RedisError) -> str:
    """redis-py cuts the code off where it has a class of its own for it."""
    code = next((code for kind, code in _REFUSAL_CLASSES if isinstance(error, kind)), None)
    found = _REFUSAL_CODES.search(str(error))
    code = code or (found[1] if found else None)
    if code is None and "ACL failure" in str(error):  # from within the script
        code = "NOPERM"
    return WRITE_REFUSALS[code] if code else f"Redis refused a write: {error}"
