"""What the page reads from Redis: in one go, for all who look at it in the same second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from receiver.inbox.delivery_log import Delivery, fetch_deliveries
from receiver.inbox.entries import Entry, State, fetch_entries
from receiver.inbox.foreign import read_or
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import DUE, ENTRY, translate_redis_errors
from receiver.notices.outbox import Notice, Outbox
from receiver.outputs.outcomes import ANSWERED, OUTCOMES
from receiver.status.charts import Chart, Series, draw
from receiver.status.overview import Overview
from receiver.status.overview_queries import take_overview
from receiver.status.view_models import BatchRow, make_row
from receiver.telemetry.metrics.history import fetch_history

MAX_ROWS = 12
MAX_DELIVERIES = MAX_NOTICES = 12
PAGE_ROWS = 50
CHARTS = (
    (
        "Results stored",
        Series(
            "answers",
            "good",
            tuple(f"gbr_results_total:{one}" for one in OUTCOMES if one in ANSWERED),
        ),
        Series(
            "without an answer",
            "bad",
            (
                *(f"gbr_results_total:{one}" for one in OUTCOMES if one not in ANSWERED),
                "gbr_missing_results_total",
            ),
        ),
    ),
    (
        "Attempts at batches",
        Series("stored", "good", ("gbr_attempts_total:stored",)),
        Series(
            "failed",
            "bad",
            tuple(
                f"gbr_attempts_total:{result}" for result in ("postponed", "lease_lost", "buried")
            ),
        ),
    ),
)


@dataclass(frozen=True)
class StatusSnapshot:
    """How things stood at one moment."""

    now_ms: int  # by Redis' clock
    overview: Overview
    running: list[BatchRow]
    waiting: list[BatchRow]  # the first ones by the time they are due
    buried: list[BatchRow]  # the last ones
    stored: list[BatchRow]
    deliveries: list[Delivery]
    notices: list[Notice]  # dead ones, then what waits
    hosts: Mapping[str, str]  # of the targets that the settings have, by digest
    charts: list[Chart]


@dataclass(frozen=True)
class BatchPage:
    """One page of the batches in a state."""

    now_ms: int
    state: State
    rows: list[BatchRow]
    page: int  # from 1
    pages: int
    total: int


def read_all(
    client: "redis.Redis", projects: Sequence[str], hosts: Mapping[str, str]
) -> StatusSnapshot:
    """Raises InboxUnavailableError when Redis can't be asked."""
    overview = take_overview(client, projects)
    backlog = InboxQueries(client)
    now_ms = backlog.now_ms()
    slots = fetch_history(client)
    return StatusSnapshot(
        now_ms=now_ms,
        overview=overview,
        running=_running(client, overview, now_ms),
        waiting=_waiting(client, [one.batch for one in overview.leased], now_ms),
        buried=[make_row(entry, now_ms) for entry in backlog.latest("buried", MAX_ROWS)],
        stored=[make_row(entry, now_ms) for entry in backlog.latest("done", MAX_ROWS)],
        deliveries=fetch_deliveries(client, MAX_DELIVERIES),
        notices=_notices(Outbox(client)),
        hosts=hosts,
        charts=[draw(title, slots, series) for title, *series in CHARTS],
    )


def _notices(outbox: Outbox) -> list[Notice]:
    dead = outbox.listing(MAX_NOTICES, dead=True)
    others = [notice for notice in outbox.listing(MAX_NOTICES) if notice.state != "dead"]
    return [*dead, *others][:MAX_NOTICES]


def _running(client: "redis.Redis", overview: Overview, now_ms: int) -> list[BatchRow]:
    workers = {held.batch: held.worker or "" for held in overview.leased}
    entries = fetch_entries(client, workers)
    return [
        make_row(entry, now_ms, worker=workers[name])
        for name, entry in entries.items()
        if entry.state == "leased"
    ]


def _waiting(client: "redis.Redis", leased: Sequence[str], now_ms: int) -> list[BatchRow]:
    last = MAX_ROWS + len(leased) - 1
    with translate_redis_errors():
        found: list[Any] = read_or([], lambda: client.zrange(DUE, 0, last, withscores=True))
    due = {name.decode(errors="replace"): int(score) for name, score in found}
    entries = [entry for entry in fetch_entries(client, due).values() if entry.state == "open"]
    return [make_row(entry, now_ms, due[entry.batch]) for entry in entries[:MAX_ROWS]]


def read_list(client: "redis.Redis", state: State, page: int) -> BatchPage:
    """Raises InboxUnavailableError when Redis can't be asked."""
    backlog = InboxQueries(client)
    names = backlog.names(state)
    pages = max(1, -(-len(names) // PAGE_ROWS))
    page = min(max(1, page), pages)
    shown = names[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    due = _due_of(client, shown) if state == "open" else {}
    now_ms = backlog.now_ms()
    rows = [
        make_row(entry, now_ms, due.get(name))
        for name, entry in fetch_entries(client, shown).items()
    ]
    return BatchPage(now_ms, state, rows, page, pages, len(names))


def _due_of(client: "redis.Redis", names: Sequence[str]) -> dict[str, int]:
    """When each is due, in Unix milliseconds; one that was taken meanwhile is left out."""
    with translate_redis_errors():
        scores: list[Any] = read_or([], lambda: client.zmscore(DUE, list(names))) if names else []
    return {
        name: int(score) for name, score in zip(names, scores, strict=False) if score is not None
    }


def read_row(client: "redis.Redis", name: str) -> tuple[int, BatchRow | None]:
    """Redis' time, and what the inbox knows of one batch. Raises InboxUnavailableError when Redis can't be asked."""
    now_ms = InboxQueries(client).now_ms()
    entry: Entry | None = fetch_entries(client, [name]).get(name)
    if entry is None and client.exists(ENTRY + name):
        raise ValueError(f"the entry of {name} is not as the inbox writes it")
    return now_ms, make_row(entry, now_ms) if entry else None
