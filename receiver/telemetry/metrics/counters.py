"""Counts what happens, for all processes together, in one hash in Redis.

Best effort: a count waits in memory for the next write, which carries many, so that no delivery and
no job waits for it or fails with it. A process that is killed loses the counts of its last second.
The ends of attempts are counted by the inbox's scripts instead, in their own atomic steps.
"""

import logging
import math
import secrets
import threading
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import redis

from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import Scripts
from receiver.telemetry.metrics.definitions import (
    BATCHES,
    COST,
    PICODOLLARS,
    UNPRICED,
    Metric,
    ModelCost,
)

FLUSH_EVERY_S = 1.0
SENT_TTL_S = 600
FORMER_NAMES = {"gbr_dead_letters_total": "gbr_buried_batches_total"}  # Redis may hold both
log = logging.getLogger(__name__)


class Counters:
    """Gathers counts from any thread; from `start` to `stop`, a thread adds them up in Redis."""

    def __init__(self, client: "redis.Redis") -> None:
        self._run_script = Scripts(client, ("count",)).run
        self._lock = threading.Lock()  # guards `_waiting`, for a moment
        self._turn = threading.Lock()  # held while a write takes place
        self._waiting: dict[str, float] = {}
        self._sent: dict[str, float] = {}  # a write that Redis has not confirmed yet
        self._sent_id = ""  # by which Redis recognises a repeated write
        self._is_failing = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counters", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, unless Redis was away a moment ago: then the stop does not wait."""
        self._stopped.set()
        if not self._is_failing:
            self.flush()

    def add(self, metric: Metric, *labels: str, amount: int = 1) -> None:
        """Add to a counter; never waits for Redis."""
        self._gather({metric.field(*labels): amount})

    def increment(self, fields: Iterable[str]) -> None:
        """Add one to each of these fields of counters."""
        self._gather(dict.fromkeys(fields, 1))

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add a duration to a histogram."""
        self._gather(metric.observed(seconds, *labels))

    def _gather(self, amounts: Mapping[str, float]) -> None:
        with self._lock:
            for field, amount in amounts.items():
                self._waiting[field] = self._waiting.get(field, 0) + amount

    def flush(self) -> bool:
        """Write what has gathered. False when Redis did not take it: it stays for the next time."""
        with self._turn:
            while self._sent or self._pack():
                try:
                    self._run_script("count", self._sent_id, SENT_TTL_S, *self._arguments())
                except InboxUnavailableError as error:
                    self._log_failure(error)
                    return False
                self._sent = {}
                self._is_failing = False
        return True

    def _pack(self) -> bool:
        """Make one write of what has gathered; False when that is nothing."""
        with self._lock:
            self._sent, self._waiting = self._waiting, {}
        self._sent_id = secrets.token_hex(8)
        return bool(self._sent)

    def _arguments(self) -> list[str | float]:
        return [part for field, amount in self._sent.items() for part in (field, amount)]

    def _log_failure(self, error: Exception) -> None:
        """Warn once per outage; its further failures are debug lines."""
        log.log(
            logging.DEBUG if self._is_failing else logging.WARNING,
            "counters.kept",
            extra={"cause": str(error)},
        )
        self._is_failing = True

    def _run(self) -> None:
        while not self._stopped.wait(FLUSH_EVERY_S):
            try:
                self.flush()
            except Exception:  # a thread that ended would write no more
                log.exception("counters.failed")


def read_counts(row: Any) -> dict[str, float]:
    """The counts of a hash as redis-py returns it; what is no number is left out.

    What an older version counted under another name is added to the count of today's.
    """
    found = dict[str, float]()
    for name, text in row.items() if isinstance(row, dict) else ():
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            field = name.decode(errors="replace")
            field = FORMER_NAMES.get(field, field)
            found[field] = found.get(field, 0) + value
    return found


def read_costs(row: object) -> dict[str, ModelCost]:
    """The costs in a hash as redis-py returns it; what is none is left out."""
    found = dict[str, ModelCost]()
    for name, text in row.items() if isinstance(row, Mapping) else ():
        kind, colon, model = name.decode(errors="replace").partition(":")
        if kind + colon in {COST, BATCHES, UNPRICED} and text.isdigit():
            found[model] = found.get(model, ModelCost()) + _read(kind + colon, int(text))
    return found


def _read(kind: str, value: int) -> ModelCost:
    match kind:
        case "gbr_cost:":
            return ModelCost(dollars=Decimal(value) / PICODOLLARS)
        case "gbr_batches:":
            return ModelCost(batches=value)
        case _:
            return ModelCost(unpriced=value)
