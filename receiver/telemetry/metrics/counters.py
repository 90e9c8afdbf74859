"""Counts what happens, for all processes together, in one hash in Redis.

Best effort: a count waits in memory for the next write, which carries many; no delivery and no job ever waits for it
or fails with it. A process that is killed loses what it counted in the last second. The ends of attempts are not
counted here: the inbox's scripts do that in their own atomic steps.
"""

import logging
import math
import secrets
import threading
from collections.abc import Mapping
from typing import Any

import redis

from receiver.errors import InboxUnavailableError
from receiver.inbox.scripts import Scripts
from receiver.telemetry.metrics.definitions import Metric

FLUSH_EVERY_S = 1.0
SENT_TTL_S = 600
log = logging.getLogger(__name__)


class Counters:
    """Gathers counts, from any thread, and adds them up in Redis; `start` and `stop` bracket a thread that does so."""

    def __init__(self, client: "redis.Redis") -> None:
        self._run_script = Scripts(client, ("count",)).run
        self._lock = threading.Lock()  # held for a moment, around what waits
        self._turn = threading.Lock()  # held for the length of a write
        self._waiting: dict[str, float] = {}
        self._sent: dict[str, float] = {}  # a write that Redis has not confirmed yet
        self._sent_id = ""  # by which Redis knows it when it comes again
        self._is_failing = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counters", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, unless Redis was away a moment ago: nobody waits for it then."""
        self._stopped.set()
        if not self._is_failing:
            self.flush()

    def add(self, metric: Metric, *labels: str, amount: int = 1) -> None:
        """Count; never waits for Redis."""
        field = metric.field(*labels)
        with self._lock:
            self._waiting[field] = self._waiting.get(field, 0) + amount

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Enter a duration into a histogram."""
        self._gather(metric.observed(seconds, *labels))

    def _gather(self, amounts: Mapping[str, float]) -> None:
        with self._lock:
            for field, amount in amounts.items():
                self._waiting[field] = self._waiting.get(field, 0) + amount

    def flush(self) -> bool:
        """Write what has gathered. False when Redis did not take it: it is kept for the next time."""
        with self._turn:
            while self._sent or self._pack():
                try:
                    self._run_script("count", self._sent_id, SENT_TTL_S, *self._arguments())
                except InboxUnavailableError as error:
                    self._complain(error)
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

    def _complain(self, error: Exception) -> None:
        """Once an absence."""
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
            except Exception:
                log.exception("counters.failed")  # a thread that ended would write no more


def read_counts(row: Any) -> dict[str, float]:
    """A hash of counts as redis-py gives it; whatever else somebody wrote there is left out."""
    found = {}
    for name, text in row.items() if isinstance(row, dict) else ():
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            found[name.decode(errors="replace")] = value
    return found
