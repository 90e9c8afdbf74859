"""How things stand: the inbox, the workers, the last deliveries and looks, and what needs a person."""

from collections.abc import Iterable
from typing import Any

import msgspec
import redis

from receiver.gemini.webhook_reports import WebhookFault, WebProcess
from receiver.inbox.delivery_log import Delivery, fetch_deliveries
from receiver.inbox.entries import Entry, fetch_entries
from receiver.inbox.foreign import find_foreign, read_number, read_or
from receiver.inbox.live_workers import LiveWorker, find_workers
from receiver.inbox.outages import Outage, find_outages
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import BURIED, COUNTERS, DONE, DUE, RECONCILE, translate_redis_errors
from receiver.inbox.redis_health import RedisProblem, examine, find_write_obstacle
from receiver.notices.outbox import OutboxStatus, read_standing
from receiver.recovery.running_batches import RunningNow, find_overdue, read_running
from receiver.recovery.web_presence import read_web_processes
from receiver.settings.projects import DEFAULT
from receiver.status.next_steps import find_process_steps, find_unknown_webhooks, find_webhook_steps
from receiver.telemetry.metrics.counters import read_counts

MAX_SHOWN = 5  # deliveries and buried batches
LONG_S = {"outage": 15 * 60, "refusal": 3600}  # a shorter one is shown, but needs nobody
MAX_CAUSE = 300
MINUTES = 60
MAX_ASKED = 200  # deliveries that show whether dynamic webhooks are in use
DYNAMIC = ("v1a", "jwt")  # schemes of their deliveries
STALE_S = (
    2 * 3600
)  # after so long without a complete reconcile run, nobody knows what ended at Gemini


class Held(msgspec.Struct, frozen=True):
    """A batch that somebody is at."""

    batch: str
    for_s: int
    worker: str | None  # None where RQ knows of none: it was killed, or took the batch just now


class Lost(msgspec.Struct, frozen=True):
    """A buried batch."""

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
    webhooks: list[WebhookFault] | None = (
        None  # as the web processes see them now; None where none could look
    )
    is_registered: bool | None = None  # whether Gemini has a webhook for it; None: unknown
    has_secret: bool | None = (
        None  # whether every web process has one for it; None: none is running
    )


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    now_ms: int = 0  # Redis' clock
    open: int
    due: int  # of those that are owed: a worker should be at them
    oldest_due_s: int | None
    leased: list[Held]
    buried: int
    last_buried: list[Lost]
    done: int
    workers: list[LiveWorker]
    web: list[WebProcess]
    deliveries: list[Delivery]
    counters: dict[str, int]
    looks: list[LastLook]
    running: list[RunningNow]  # at Gemini, by project, as of the last reconcile run
    notices: OutboxStatus
    redis: list[RedisProblem]
    dynamic: list[
        str
    ] = []  # projects to which deliveries of dynamic webhooks come, which need nothing registered
    outages: list[Outage] = []  # what holds up batches that are not at fault
    steps: list[str]  # that are next until batches arrive and are stored
    needs: list[str]  # what a person should do, these steps among it; empty when nothing
    unknown: list[str]  # what nobody can tell now, so that it is neither well nor wrong

    @property
    def headline(self) -> str:
        if self.needs:
            return (
                "One thing needs you"
                if len(self.needs) == 1
                else f"{len(self.needs)} things need you"
            )
        return (
            "Nothing is known to be wrong, but not all is known" if self.unknown else "All is well"
        )


def take_overview(client: "redis.Redis", projects: Iterable[str]) -> Overview:
    """Read everything. Raises InboxUnavailableError when Redis can't be asked."""
    with translate_redis_errors():
        return _read(client, list(projects))


def _read(client: "redis.Redis", projects: list[str]) -> Overview:
    backlog = InboxQueries(client)
    now_ms, leased, buried = backlog.now_ms(), backlog.names("leased"), backlog.names("buried")
    workers, web = find_workers(client, now_ms), read_web_processes(client)
    held = fetch_entries(client, leased)
    lost = fetch_entries(client, buried[:MAX_SHOWN])
    due = read_or(0, lambda: int(client.zcount(DUE, "-inf", now_ms)))
    notices, findings, outages = read_standing(client), examine(client), find_outages(client)
    deliveries = fetch_deliveries(client, MAX_ASKED)
    dynamic = {
        one.project
        for one in deliveries
        if one.verdict in ("accepted", "known") and one.scheme in DYNAMIC
    }
    running = read_running(client, projects, now_ms)
    looks = [_read_look(client, project, web, now_ms) for project in projects]
    obstacle = find_write_obstacle(client)
    steps = [
        *([] if obstacle else find_process_steps(web, len(workers), due)),
        *find_webhook_steps(projects, web, dynamic),
    ]
    return Overview(
        now_ms=now_ms,
        open=max(0, _size(client, DUE) - len(leased)),
        due=due,
        oldest_due_s=_oldest_due_s(client, now_ms),
        leased=[_read_held(entry, workers, now_ms) for entry in held.values()],
        buried=_size(client, BURIED),
        last_buried=[_read_lost(entry, now_ms) for entry in lost.values()],
        done=_size(client, DONE),
        workers=workers,
        web=web,
        deliveries=deliveries[:MAX_SHOWN],
        counters=_read_counters(client),
        looks=looks,
        running=running,
        notices=notices,
        redis=findings,
        dynamic=sorted(dynamic),
        outages=outages,
        steps=steps,
        needs=[
            *([obstacle] if obstacle else []),
            *steps,
            *(finding.text for finding in findings if finding.level == "refuse"),
            *_long_outages(outages, now_ms),
            *find_foreign(client),
            *_describe_buried_and_dead(len(buried), notices.dead),
            *find_overdue(running),
        ],
        unknown=[
            *(
                ["which processes run: they can't say so while Redis takes no writes"]
                if obstacle
                else []
            ),
            *find_unknown_webhooks(projects, web),
            *(unknown for look in looks for unknown in _unseen(look)),
        ],
    )


def _unseen(look: LastLook) -> list[str]:
    """What may have ended at Gemini without anybody here knowing."""
    project = look.project or DEFAULT
    if look.complete_s is None:
        return [
            f"what there is at Gemini in the project {project}: no reconcile run has seen its whole list yet"
        ]
    if look.complete_s > STALE_S:
        since = f"{look.complete_s // 3600} hours"
        return [
            f"what ended at Gemini in the project {project}: no reconcile run has seen its whole list for {since}"
        ]
    return []


def _long_outages(outages: list[Outage], now_ms: int) -> list[str]:
    """One line for all that wait: an outage ends by itself, but who owns the storage or the key may end it sooner."""
    long = [one for one in outages if now_ms - one.since_ms >= LONG_S[one.kind] * 1000]
    return [
        f"{describe_outage(one, now_ms)}; nothing is lost, and each is tried again by itself"
        for one in long
    ]


def describe_outage(outage: Outage, now_ms: int) -> str:
    """What waits for what, for how long, and why."""
    count = (
        _count(outage.batches, "batch waits", "batches wait")
        if outage.is_all
        else f"at least {outage.batches:,} wait"
    )
    minutes = _seconds_since(outage.since_ms, now_ms) // 60
    for_long = f"{minutes // 60} h {minutes % 60} min" if minutes >= MINUTES else f"{minutes} min"
    them = "it" if outage.batches == 1 and outage.is_all else "them"
    what = (
        "for Gemini or the storage" if outage.kind == "outage" else f"since Gemini refuses {them}"
    )
    return f"{count} {what}, for {for_long} now: {' '.join(outage.cause.split())[:MAX_CAUSE]}"


def _describe_buried_and_dead(buried: int, dead_notices: int) -> list[str]:
    needs = []
    if buried:
        hint = "`gemini-batch-receiver inbox list --state buried` says why, `inbox retry --all-buried` tries again"
        needs.append(f"{_count(buried, 'batch is', 'batches are')} buried: {hint}")
    if dead_notices:
        hint = "`gemini-batch-receiver notices list --dead` says why, `notices retry --all-dead` sends them again"
        needs.append(f"{_count(dead_notices, 'notice is', 'notices are')} dead: {hint}")
    return needs


def _count(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"


def _read_counters(client: "redis.Redis") -> dict[str, int]:
    counted = read_counts(read_or(dict[Any, Any](), lambda: client.hgetall(COUNTERS)))
    return {name: int(count) for name, count in sorted(counted.items())}


def _size(client: "redis.Redis", key: str) -> int:
    return read_or(0, lambda: int(client.zcard(key)))


def _oldest_due_s(client: "redis.Redis", now_ms: int) -> int | None:
    first: list[Any] = read_or([], lambda: client.zrange(DUE, 0, 0, withscores=True))
    due_ms = min((int(score) for _, score in first), default=now_ms + 1)
    return None if due_ms > now_ms else (now_ms - due_ms) // 1000


def _read_held(entry: Entry, workers: list[LiveWorker], now_ms: int) -> Held:
    by = next((worker.name for worker in workers if worker.batch == entry.batch), None)
    return Held(entry.batch, _seconds_since(entry.changed_ms, now_ms), by)


def _read_lost(entry: Entry, now_ms: int) -> Lost:
    return Lost(entry.batch, _seconds_since(entry.changed_ms, now_ms), entry.attempts, entry.cause)


def _read_look(client: "redis.Redis", project: str, web: list[WebProcess], now_ms: int) -> LastLook:
    key = f"{RECONCILE}:{project}" if project else RECONCILE
    found: list[Any] = read_or([], lambda: client.hmget(key, "began", "complete", "failed"))
    began, complete, failed = found or [None, None, None]
    moments = (read_number(began), read_number(complete))
    began_s, complete_s = (None if ms is None else _seconds_since(ms, now_ms) for ms in moments)
    served = [one for process in web if (one := process.serves(project)) is not None]
    seen = [one.faults for one in served if one.faults is not None]
    webhooks = list(dict.fromkeys(fault for faults in seen for fault in faults)) if seen else None
    return LastLook(
        project,
        began_s,
        complete_s,
        failed=failed == b"1",
        webhooks=webhooks,
        is_registered=next(
            (one.is_registered for one in served if one.is_registered is not None), None
        ),
        has_secret=all(one.secrets for one in served) if served else None,
    )


def _seconds_since(moment_ms: int, now_ms: int) -> int:
    return max(0, now_ms - moment_ms) // 1000
