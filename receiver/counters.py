"""Counts what happens, for all processes together, in one hash in Redis.

Best effort: a count waits in memory for the next write, which carries many; no delivery and no job ever waits for it
or fails with it. A process that is killed loses what it counted in the last second. The ends of attempts are not
counted here: the inbox's scripts do that in their own atomic steps.
"""

import logging
import threading
from collections.abc import Mapping

import redis

from receiver.metrics import Metric
from receiver.scripts import METRICS

FLUSH_EVERY_S = 1.0
log = logging.getLogger(__name__)


class Counters:
    """Gathers counts, from any thread, and adds them up in Redis; `start` and `stop` bracket a thread that does so."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._lock = threading.Lock()
        self._waiting: dict[str, float] = {}
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
        with self._lock:
            taken, self._waiting = self._waiting, {}
        if not taken:
            return True
        pipeline = self._client.pipeline(transaction=True)
        for field, amount in taken.items():
            pipeline.hincrbyfloat(METRICS, field, amount)
        try:
            pipeline.execute()
        except redis.RedisError as error:
            self._gather(taken)
            self._complain(error)
            return False
        self._is_failing = False
        return True

    def _complain(self, error: Exception) -> None:
        """Once an absence."""
        log.log(logging.DEBUG if self._is_failing else logging.WARNING, "counters.kept", extra={"cause": str(error)})
        self._is_failing = True

    def _run(self) -> None:
        while not self._stopped.wait(FLUSH_EVERY_S):
            self.flush()
