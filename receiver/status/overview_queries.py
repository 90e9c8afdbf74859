"""Reads an overview from Redis."""

from collections.abc import Iterable, Sequence
from typing import Any

import redis

from receiver.gemini.webhook_reports import WebProcess
from receiver.inbox.delivery_log import Delivery, fetch_deliveries
from receiver.inbox.entries import Entry, fetch_entries
from receiver.inbox.foreign import find_foreign, read_number, read_or
from receiver.inbox.live_workers import LiveWorker, find_workers
from receiver.inbox.outages import find_outages
from receiver.inbox.paused import fetch_paused
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import (
    COUNTERS,
    DONE,
    DUE,
    RECONCILE,
    project_key,
    translate_redis_errors,
)
from receiver.inbox.redis_health import examine, find_write_obstacle
from receiver.notices.outbox import read_outbox_status
from receiver.notices.running_batches import read_running
from receiver.recovery.web_presence import read_web_processes
from receiver.status.overview import BuriedBatch, LeasedBatch, Overview, ProjectStatus
from receiver.status.problems import judge_overview
from receiver.status.submission_counts import count_submissions
from receiver.telemetry.metrics.counters import read_counts

MAX_SHOWN = 5  # deliveries and buried batches
MAX_CHECKED = 200  # deliveries that show whether dynamic webhooks are in use
DYNAMIC_SCHEMES = ("v1a", "jwt")


def take_overview(client: "redis.Redis", projects: Iterable[str]) -> Overview:
    """How things stand. Raises InboxUnavailableError when Redis can't be asked."""
    with translate_redis_errors():
        overview = _read_overview(client, list(projects))
        return judge_overview(overview, find_write_obstacle(client), find_foreign(client))


def _read_overview(client: "redis.Redis", projects: list[str]) -> Overview:
    queries = InboxQueries(client)
    now_ms = queries.now_ms()
    leased, buried = queries.names("leased"), queries.names("buried")
    leased_entries = fetch_entries(client, leased).values()
    buried_entries = fetch_entries(client, buried[:MAX_SHOWN]).values()

    workers, web = find_workers(client, now_ms), read_web_processes(client)
    deliveries = fetch_deliveries(client, MAX_CHECKED)

    return Overview(
        now_ms=now_ms,
        open=max(0, _count_members(client, DUE) - len(leased)),
        due=read_or(0, lambda: int(client.zcount(DUE, "-inf", now_ms))),
        oldest_due_s=_read_oldest_due_s(client, now_ms),
        leased=[_make_leased(entry, workers, now_ms) for entry in leased_entries],
        buried=len(buried),
        last_buried=[_make_buried(entry, now_ms) for entry in buried_entries],
        done=_count_members(client, DONE),
        workers=workers,
        web=web,
        deliveries=deliveries[:MAX_SHOWN],
        counters=_read_counters(client),
        projects=[_read_project(client, project, web, now_ms) for project in projects],
        running=read_running(client, projects, now_ms),
        notices=read_outbox_status(client),
        redis=examine(client),
        dynamic=_find_dynamic(deliveries),
        outages=find_outages(client),
        submissions=count_submissions(client, now_ms),
        paused={
            project: _seconds_since(since_ms, now_ms)
            for project, since_ms in fetch_paused(client).items()
        },
    )


def _find_dynamic(deliveries: Iterable[Delivery]) -> list[str]:
    """The projects that get deliveries of dynamic webhooks."""
    accepted = (one for one in deliveries if one.verdict in ("accepted", "known"))
    return sorted({one.project for one in accepted if one.scheme in DYNAMIC_SCHEMES})


def _read_counters(client: "redis.Redis") -> dict[str, int]:
    counted = read_counts(read_or(dict[Any, Any](), lambda: client.hgetall(COUNTERS)))
    return {name: int(count) for name, count in sorted(counted.items())}


def _count_members(client: "redis.Redis", key: str) -> int:
    return read_or(0, lambda: int(client.zcard(key)))


def _read_oldest_due_s(client: "redis.Redis", now_ms: int) -> int | None:
    first: list[Any] = read_or([], lambda: client.zrange(DUE, 0, 0, withscores=True))
    due_ms = min((int(score) for _, score in first), default=now_ms + 1)
    return None if due_ms > now_ms else (now_ms - due_ms) // 1000


def _make_leased(entry: Entry, workers: Sequence[LiveWorker], now_ms: int) -> LeasedBatch:
    worker = next((worker.name for worker in workers if worker.batch == entry.batch), None)
    return LeasedBatch(entry.batch, _seconds_since(entry.changed_ms, now_ms), worker)


def _make_buried(entry: Entry, now_ms: int) -> BuriedBatch:
    age_s = _seconds_since(entry.changed_ms, now_ms)
    return BuriedBatch(entry.batch, age_s, entry.attempts, entry.cause)


def _read_project(
    client: "redis.Redis", project: str, web: Sequence[WebProcess], now_ms: int
) -> ProjectStatus:
    key = project_key(RECONCILE, project)
    found: list[Any] = read_or([], lambda: client.hmget(key, "began", "complete", "failed"))
    began, complete, failed = found or [None, None, None]
    began_s, complete_s = (
        None if (moment_ms := read_number(value)) is None else _seconds_since(moment_ms, now_ms)
        for value in (began, complete)
    )

    serving = [one for process in web if (one := process.serves(project)) is not None]
    checked = [one.faults for one in serving if one.faults is not None]
    faults = list(dict.fromkeys(fault for some in checked for fault in some))
    registered = (one.is_registered for one in serving if one.is_registered is not None)

    return ProjectStatus(
        project,
        began_s,
        complete_s,
        failed=failed == b"1",
        webhooks=faults if checked else None,
        is_registered=next(registered, None),
        has_secret=all(one.secrets for one in serving) if serving else None,
    )


def _seconds_since(moment_ms: int, now_ms: int) -> int:
    return max(0, now_ms - moment_ms) // 1000
