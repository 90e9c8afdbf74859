"""What a scrape reads from Redis: the counters of all processes, and the current state."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import redis

from receiver.gemini.webhook_reports import WebProcess
from receiver.inbox.foreign import read_number, read_or
from receiver.inbox.job_queue import open_queue
from receiver.inbox.live_workers import find_workers
from receiver.inbox.redis import (
    BURIED,
    COUNTERS,
    DONE,
    DUE,
    METRICS,
    RECONCILE,
    SUBMISSIONS,
    project_key,
    read_time_ms,
    translate_redis_errors,
)
from receiver.inbox.redis_health import find_write_obstacle
from receiver.notices.outbox import read_outbox_status
from receiver.notices.running_batches import read_running
from receiver.recovery.web_presence import read_web_processes
from receiver.settings.projects import Project
from receiver.telemetry.metrics import definitions
from receiver.telemetry.metrics.counters import read_counts

VERSION = version("gemini-batch-receiver")


def read_without_redis() -> dict[str, float]:
    """What is known while Redis is away."""
    return {definitions.REDIS_UP.field(): 0, definitions.BUILD.field(VERSION): 1}


def read_fields(client: "redis.Redis", projects: Iterable[Project]) -> dict[str, float]:
    """The values of all metrics, by field.

    The cost grows with the number of workers and projects, not with that of batches. Raises
    InboxUnavailableError when Redis can't be asked.
    """
    with translate_redis_errors():
        return read_without_redis() | definitions.zeros() | _read(client, list(projects))


def _read(client: "redis.Redis", projects: list[Project]) -> dict[str, float]:
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.hgetall(METRICS)
    pipeline.hgetall(COUNTERS)
    for key in (DUE, BURIED, DONE):
        pipeline.zcard(key)
    pipeline.zrange(DUE, 0, 0, withscores=True)
    pipeline.llen(open_queue(client).key)
    for project in projects:
        pipeline.hmget(project_key(RECONCILE, project.name), "began", "complete")
    redis_time, counted, older, pending, buried, done, oldest, queued, *runs = pipeline.execute(
        raise_on_error=False
    )

    now_ms = read_time_ms(redis_time)
    scores = [score for _, score in oldest] if isinstance(oldest, list) else []
    sizes = {
        definitions.ENTRIES.field("pending"): pending,
        definitions.ENTRIES.field("buried"): buried,
        definitions.ENTRIES.field("done"): done,
        definitions.DUE_ENTRIES.field(): read_or(None, lambda: client.zcount(DUE, "-inf", now_ms)),
        definitions.QUEUED_JOBS.field(): queued,
    }

    return {
        **read_counts(counted),
        **{f"gbr_{name}_total": value for name, value in read_counts(older).items()},
        definitions.REDIS_UP.field(): 1,
        definitions.REDIS_WRITABLE.field(): float(find_write_obstacle(client) is None),
        # Where a key holds something foreign, Redis returns an error instead of a size.
        **{field: size for field, size in sizes.items() if isinstance(size, int)},
        definitions.OLDEST_DUE.field(): max(0.0, (now_ms - min(scores, default=now_ms)) / 1000),
        **_count_submissions(client, now_ms),
        **_count_workers(client, now_ms),
        **_read_outbox(client),
        **_read_reconcile_runs(projects, runs),
        **_read_running(client, projects, now_ms),
        **_count_faults(projects, read_web_processes(client)),
    }


def _count_submissions(client: "redis.Redis", now_ms: int) -> dict[str, float]:
    pipeline = client.pipeline(transaction=False)
    for key in SUBMISSIONS[:3]:
        pipeline.zcard(key)
    pipeline.zrange(SUBMISSIONS.due, 0, 0, withscores=True)
    *counts, oldest = pipeline.execute(raise_on_error=False)
    scores = [score for _, score in oldest] if isinstance(oldest, list) else []
    states = zip(("pending", "buried", "done"), counts, strict=True)
    return {
        **{
            definitions.SUBMISSIONS.field(state): count
            for state, count in states
            if isinstance(count, int)
        },
        definitions.OLDEST_DUE_SUBMISSION.field(): max(
            0.0, (now_ms - min(scores, default=now_ms)) / 1000
        ),
    }


def _read_outbox(client: "redis.Redis") -> dict[str, float]:
    standing = read_outbox_status(client)
    return {
        definitions.OUTBOX.field("waiting"): standing.waiting,
        definitions.OUTBOX.field("dead"): standing.dead,
        definitions.OLDEST_NOTICE.field(): standing.oldest_due_s or 0,
    }


def _count_workers(client: "redis.Redis", now_ms: int) -> dict[str, float]:
    states = [
        "busy" if worker.state == "busy" else "idle" for worker in find_workers(client, now_ms)
    ]
    return {definitions.WORKERS.field(state): states.count(state) for state in ("idle", "busy")}


def _read_reconcile_runs(projects: list[Project], runs: list[Any]) -> dict[str, float]:
    """`runs` are the times in ms when the last run and the last complete one of each began."""
    found = dict[str, float]()
    for project, times in zip(projects, runs, strict=True):
        if not isinstance(times, list):
            continue
        for metric, text in zip(
            (definitions.RECONCILED, definitions.RECONCILED_COMPLETELY), times, strict=True
        ):
            if (time_ms := read_number(text)) is not None:
                found[metric.field(project.label)] = time_ms / 1000
    return found


def _read_running(client: "redis.Redis", projects: list[Project], now_ms: int) -> dict[str, float]:
    found = dict[str, float]()
    labels = {project.name: project.label for project in projects}
    for running in read_running(client, list(labels), now_ms):
        label = labels[running.project]
        found[definitions.RUNNING.field(label)] = running.count
        found[definitions.OLDEST_RUNNING.field(label)] = running.oldest_s or 0
    return found


def _count_faults(projects: list[Project], web: list[WebProcess]) -> dict[str, float]:
    """Faults of each project whose webhooks some web process could check, each counted once."""
    found = dict[str, float]()
    for project in projects:
        served = [one for process in web if (one := process.serves(project.name)) is not None]
        seen = [one.faults for one in served if one.faults is not None]
        if seen:
            faults = {fault for faults in seen for fault in faults}
            found[definitions.WEBHOOK_FAULTS.field(project.label)] = len(faults)
    return found
