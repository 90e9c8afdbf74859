"""How things stand: the inbox, the workers, the last deliveries and looks, and what needs a person."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
from rq import Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from receiver.bell import open_queue
from receiver.deliveries import Delivery, fetch_deliveries
from receiver.errors import InboxUnavailableError
from receiver.inbox.backlog import Backlog
from receiver.inbox.entries import Entry, fetch_entries
from receiver.inbox.ledger import COUNTERS
from receiver.inbox.outages import Outage, find_outages
from receiver.inbox.scripts import BURIED, DONE, DUE, LOOK
from receiver.looks import WEBHOOK_FAULTS, WebhookFault, read_faults
from receiver.notices.outbox import Standing, read_standing
from receiver.projects import DEFAULT
from receiver.redis_health import Finding, examine

MOST_SHOWN = 5  # deliveries and buried batches
LONG_S = {"outage": 15 * 60, "refusal": 3600}  # a shorter one is shown, but needs nobody
MOST_CAUSE = 300
MINUTES = 60


class AliveWorker(msgspec.Struct, frozen=True):
    """A worker that RQ heard of lately; a killed one is forgotten after 90 seconds."""

    name: str
    host: str | None
    pid: int | None
    state: str  # "idle", "busy", …
    heard_s: int | None  # seconds ago
    batch: str | None  # that it is at


class Held(msgspec.Struct, frozen=True):
    """A batch that somebody is at."""

    batch: str
    for_s: int
    worker: str | None  # None where RQ knows of none: it was killed, or took the batch just now


class Lost(msgspec.Struct, frozen=True):
    """A batch that was given up."""

    batch: str
    age_s: int
    attempts: int
    cause: str


class LastLook(msgspec.Struct, frozen=True):
    """The last look at one project's list."""

    project: str
    began_s: int | None  # seconds ago; None when there was none
    complete_s: int | None  # since the last one that saw everything
    failed: bool
    webhooks: list[WebhookFault] | None = None  # what was wrong with them then; None where nobody could see them


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    now_ms: int = 0  # Redis' clock
    open: int
    due: int  # of those that are owed: a worker should be at them
    oldest_due_s: int | None
    leased: list[Held]
    buried: int
    last_buried: list[Lost]
    done: int
    workers: list[AliveWorker]
    deliveries: list[Delivery]
    counters: dict[str, int]
    looks: list[LastLook]
    notices: Standing
    redis: list[Finding]
    outages: list[Outage] = []  # what holds up batches that are not at fault
    needs: list[str]  # what a person should do; empty when nothing


def take_overview(client: "redis.Redis", projects: Iterable[str]) -> Overview:
    """Read everything. Raises InboxUnavailableError when Redis can't be asked."""
    try:
        return _read(client, list(projects))
    except redis.RedisError as error:
        raise InboxUnavailableError(f"Redis did not answer: {error}") from error


def _read(client: "redis.Redis", projects: list[str]) -> Overview:
    backlog = Backlog(client)
    now_ms, leased, buried = backlog.now_ms(), backlog.names("leased"), backlog.names("buried")
    workers = find_workers(client, now_ms)
    held = fetch_entries(client, leased)
    lost = fetch_entries(client, buried[:MOST_SHOWN])
    due = int(client.zcount(DUE, "-inf", now_ms))
    notices, findings, outages = read_standing(client), examine(client), find_outages(client)
    looks = [_read_look(client, project, now_ms) for project in projects]
    return Overview(
        now_ms=now_ms,
        open=max(0, int(client.zcard(DUE)) - len(leased)),
        due=due,
        oldest_due_s=_oldest_due_s(client, now_ms),
        leased=[_read_held(entry, workers, now_ms) for entry in held.values()],
        buried=int(client.zcard(BURIED)),
        last_buried=[_read_lost(entry, now_ms) for entry in lost.values()],
        done=int(client.zcard(DONE)),
        workers=workers,
        deliveries=fetch_deliveries(client, MOST_SHOWN),
        counters=_read_counters(client),
        looks=looks,
        notices=notices,
        redis=findings,
        outages=outages,
        needs=[
            *(finding.text for finding in findings if finding.level == "refuse"),
            *_lack_of_workers(due, workers),
            *_long_outages(outages, now_ms),
            *_given_up(len(buried), notices.dead),
            *(need for look in looks for need in _wrong_webhooks(look)),
        ],
    )


def _lack_of_workers(due: int, workers: list[AliveWorker]) -> list[str]:
    if not due or workers:
        return []
    return [
        f"{_count(due, 'batch is', 'batches are')} due and no worker is alive: start `gemini-batch-receiver worker`"
    ]


def _long_outages(outages: list[Outage], now_ms: int) -> list[str]:
    """One line for all that wait: an outage ends by itself, but who owns the storage or the key may end it sooner."""
    long = [one for one in outages if now_ms - one.since_ms >= LONG_S[one.kind] * 1000]
    return [f"{describe_outage(one, now_ms)}; nothing is lost, and each is tried again by itself" for one in long]


def describe_outage(outage: Outage, now_ms: int) -> str:
    """What waits for what, for how long, and why."""
    count = _count(outage.batches, "batch waits", "batches wait")
    minutes = _seconds_since(outage.since_ms, now_ms) // 60
    for_long = f"{minutes // 60} h {minutes % 60} min" if minutes >= MINUTES else f"{minutes} min"
    them = "it" if outage.batches == 1 else "them"
    what = "for Gemini or the storage" if outage.kind == "outage" else f"since Gemini refuses {them}"
    return f"{count} {what}, for {for_long} now: {' '.join(outage.cause.split())[:MOST_CAUSE]}"


def _given_up(buried: int, dead_notices: int) -> list[str]:
    needs = []
    if buried:
        hint = "`gemini-batch-receiver events list --state buried` says why, `events retry --all-buried` tries again"
        needs.append(f"{_count(buried, 'batch was', 'batches were')} given up: {hint}")
    if dead_notices:
        hint = "`gemini-batch-receiver notices list --dead` says why, `notices retry --all-dead` sends them again"
        needs.append(f"{_count(dead_notices, 'notice was', 'notices were')} given up: {hint}")
    return needs


def _wrong_webhooks(look: LastLook) -> list[str]:
    about = f"the webhook of {look.project or DEFAULT}"
    return [f"{about}: {fault.detail}; {fault.advice}" for fault in look.webhooks or []]


def _count(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"


def _read_counters(client: "redis.Redis") -> dict[str, int]:
    counted: dict[Any, Any] = client.hgetall(COUNTERS)
    return {name.decode(): int(count) for name, count in sorted(counted.items())}


def _oldest_due_s(client: "redis.Redis", now_ms: int) -> int | None:
    first: list[Any] = client.zrange(DUE, 0, 0, withscores=True)
    due_ms = min((int(score) for _, score in first), default=now_ms + 1)
    return None if due_ms > now_ms else (now_ms - due_ms) // 1000


def find_workers(client: "redis.Redis", now_ms: int) -> list[AliveWorker]:
    """Those that are alive by Redis' clock, by name. Raises redis.RedisError."""
    found = Worker.all(queue=open_queue(client), serializer=JSONSerializer)
    alive = [(worker, worker.get_current_job_id()) for worker in found]
    return sorted((_read_worker(client, worker, job_id, now_ms) for worker, job_id in alive), key=lambda one: one.name)


def _read_worker(client: "redis.Redis", worker: BaseWorker, job_id: str | None, now_ms: int) -> AliveWorker:
    heard = worker.last_heartbeat
    batch: Any = client.hget(Job.key_for(job_id), "description") if job_id else None
    return AliveWorker(
        name=worker.name,
        host=worker.hostname,
        pid=worker.pid,
        state=str(worker.get_state()),
        heard_s=None if heard is None else max(0, now_ms // 1000 - int(_as_utc(heard).timestamp())),
        batch=None if batch is None else batch.decode(errors="replace"),
    )


def _as_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_held(entry: Entry, workers: list[AliveWorker], now_ms: int) -> Held:
    by = next((worker.name for worker in workers if worker.batch == entry.batch), None)
    return Held(entry.batch, _seconds_since(entry.changed_ms, now_ms), by)


def _read_lost(entry: Entry, now_ms: int) -> Lost:
    return Lost(entry.batch, _seconds_since(entry.changed_ms, now_ms), entry.attempts, entry.cause)


def _read_look(client: "redis.Redis", project: str, now_ms: int) -> LastLook:
    key = f"{LOOK}:{project}" if project else LOOK
    began, complete, failed, faults = client.hmget(key, "began", "complete", "failed", WEBHOOK_FAULTS)
    ages = [None if moment is None else _seconds_since(int(moment), now_ms) for moment in (began, complete)]
    webhooks = None if faults is None else read_faults(faults)
    return LastLook(project, ages[0], ages[1], failed=failed == b"1", webhooks=webhooks)


def _seconds_since(moment_ms: int, now_ms: int) -> int:
    return max(0, now_ms - moment_ms) // 1000
