"""What the page reads from Redis, once for all who look at it within the same second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from receiver.inbox.entries import Entry, fetch_entries
from receiver.inbox.foreign import read_or
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import DUE, ENTRY, METRICS, translate_redis_errors
from receiver.outputs.outcomes import ANSWERED
from receiver.outputs.wording import count_of
from receiver.status.first_run import FirstStep, has_seen_nothing, list_first_steps
from receiver.status.overview import Overview
from receiver.status.overview_queries import take_overview
from receiver.status.view_models import BatchRow, make_row
from receiver.telemetry.metrics import definitions

MAX_ROWS = 5  # of each state


@dataclass(frozen=True)
class StatusSnapshot:
    """How things stood at one moment."""

    overview: Overview  # with the time
    running: list[BatchRow]
    waiting: list[BatchRow]  # those that are due first
    buried: list[BatchRow]  # the newest ones
    stored: list[BatchRow]  # the newest ones
    first_steps: list[FirstStep]  # none once there was a batch

    @property
    def is_first_run(self) -> bool:
        """Whether there was no batch yet, and no problem other than what is not set up yet."""
        return bool(self.first_steps) and self.overview.needs == self.overview.steps

    @property
    def is_trouble(self) -> bool:
        return bool(self.overview.needs) and not self.is_first_run

    @property
    def headline(self) -> str:
        """Everything in a few words."""
        left = sum(step.state == "next" for step in self.first_steps) - 1  # the batch itself
        if not self.is_first_run:
            return self.overview.headline
        if not left:
            return "Ready for the first batch"
        return f"{count_of(left, 'step', 'steps')} before the first batch"

    @property
    def display_names(self) -> Mapping[str, str]:
        """Of the batches in these lists, by their names in the inbox."""
        at_gemini = [batch for project in self.overview.running for batch in project.batches]
        rows = (*self.waiting, *self.buried, *self.stored, *self.running)
        return {
            **{batch.batch: batch.display_name for batch in at_gemini if batch.display_name},
            **{row.name: row.display_name for row in rows if row.display_name},
        }


def read_snapshot(client: "redis.Redis", projects: Sequence[str]) -> StatusSnapshot:
    """Everything that the overview page shows.

    Raises InboxUnavailableError when Redis can't be asked.
    """
    overview = take_overview(client, projects)
    now_ms = overview.now_ms
    queries = InboxQueries(client)

    return StatusSnapshot(
        overview=overview,
        running=_read_running(client, overview, now_ms),
        waiting=_read_waiting(client, len(overview.leased), now_ms),
        buried=[make_row(entry, now_ms) for entry in queries.latest("buried", MAX_ROWS)],
        stored=[make_row(entry, now_ms) for entry in queries.latest("done", MAX_ROWS)],
        first_steps=[] if _has_seen_any(client, overview) else list_first_steps(overview),
    )


def _has_seen_any(client: "redis.Redis", overview: Overview) -> bool:
    """Whether there was a batch ever, though the inbox may have forgotten it."""
    fields = [definitions.ATTEMPTS.field("stored"), *map(definitions.RESULTS.field, ANSWERED)]
    counted: list[Any] = read_or([], lambda: client.hmget(METRICS, fields))
    return any(counted) or not has_seen_nothing(overview)


def _read_running(client: "redis.Redis", overview: Overview, now_ms: int) -> list[BatchRow]:
    workers = {leased.batch: leased.worker or "" for leased in overview.leased}
    entries = fetch_entries(client, workers)
    return [
        make_row(entry, now_ms, worker=workers[name])
        for name, entry in entries.items()
        if entry.state == "leased"
    ][:MAX_ROWS]


def _read_waiting(client: "redis.Redis", leased: int, now_ms: int) -> list[BatchRow]:
    """Leased batches are among those that are due, so as many more are read."""
    last = MAX_ROWS + leased - 1
    with translate_redis_errors():
        found: list[Any] = read_or([], lambda: client.zrange(DUE, 0, last, withscores=True))
    due = {name.decode(errors="replace"): int(score) for name, score in found}
    entries = [entry for entry in fetch_entries(client, due).values() if entry.state == "open"]
    return [make_row(entry, now_ms, due[entry.batch]) for entry in entries[:MAX_ROWS]]


def read_batch(client: "redis.Redis", name: str) -> tuple[int, BatchRow | None]:
    """Redis' time in milliseconds, and what the inbox knows of one batch.

    Raises InboxUnavailableError when Redis can't be asked, and ValueError when another program
    wrote the entry.
    """
    now_ms = InboxQueries(client).now_ms()
    entry: Entry | None = fetch_entries(client, [name]).get(name)
    if entry is None and client.exists(ENTRY + name):
        raise ValueError(f"the entry of {name} is not as the inbox writes it")
    return now_ms, make_row(entry, now_ms) if entry else None
