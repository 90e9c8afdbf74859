"""Which process may reconcile a project, and when: one of many, at an interval, by Redis' clock."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import redis

from receiver.errors import ReconcileLockedError
from receiver.inbox.foreign import read_number, read_or
from receiver.inbox.redis import RECONCILE, Scripts, now_ms, project_key, translate_redis_errors

Outcome = Literal["complete", "unclear", "failed"]
SCRIPTS = ("acquire_reconcile_lock", "renew_reconcile_lock", "release_reconcile_lock")
HOLD_S = 180.0  # a holder silent for so long has died; one answer of Gemini may take 120
FAILED_PAUSE_S = 60.0  # before the run that follows a failed one


@dataclass(frozen=True)
class ReconcileRun:
    """The right to reconcile a project once. Times are Unix time by Redis' clock."""

    token: str
    began_ms: int
    complete_ms: int | None  # start of the last run that saw everything; None when there was none
    first_ms: int  # start of the first run ever: before it nobody waited for webhooks
    unclear: frozenset[str] = frozenset()  # batches the last complete run could not judge


class ReconcileLock:
    """The lock of one project, a hash in Redis. Every call raises InboxUnavailableError."""

    def __init__(self, client: "redis.Redis", interval_s: float, project: str = "") -> None:
        self._client = client
        self._interval_s = interval_s
        self._key = project_key(RECONCILE, project)
        self._run = Scripts(client, SCRIPTS, reconcile_key=self._key).run

    def is_due(self) -> bool:
        """Whether `acquire` might succeed now; cheap."""
        with translate_redis_errors():
            held_until: Any = read_or(None, lambda: self._client.hget(self._key, "held_until"))
            due_ms, now = self.read_due_ms(), now_ms(self._client)
        is_held = now < (read_number(held_until) or 0) <= now + 2 * HOLD_S * 1000
        return not is_held and (due_ms or 0) <= now

    def read_due_ms(self) -> int | None:
        """When the next run is due, in Unix time by Redis' clock; None before the first run.

        A last run that began more than HOLD_S ahead, before a clock was set back, is none to wait
        after.
        """
        with translate_redis_errors():
            found: list[Any] = read_or([], lambda: self._client.hmget(self._key, "began", "failed"))
            now = now_ms(self._client)
        began, failed = found or [None, None]
        began_ms = read_number(began)
        if began_ms is None:
            return None
        if began_ms > now + HOLD_S * 1000:
            return now
        pause_s = self._failed_pause_s if failed == b"1" else self._interval_s
        return int(began_ms + pause_s * 1000)

    @property
    def _failed_pause_s(self) -> float:
        return min(self._interval_s, FAILED_PAUSE_S)

    def acquire(self, *, force: bool = False) -> ReconcileRun | None:
        """Begin a run; None when none is due, unless `force`.

        Raises ReconcileLockedError while another process has one.
        """
        token = secrets.token_hex(8)
        pauses_s = (self._interval_s, self._failed_pause_s, HOLD_S)
        times = (int(seconds * 1000) for seconds in pauses_s)
        verdict, *found = self._run(SCRIPTS[0], token, *times, "now" if force else "due")

        if verdict == b"held":
            raise ReconcileLockedError(
                "another process reads Gemini's list right now: try again in a minute"
            )
        if verdict == b"early":
            return None
        began, complete, first, unclear = found
        names = frozenset(unclear.decode(errors="replace").split())
        return ReconcileRun(token, began, int(complete) if complete else None, first, names)

    def renew(self, run: ReconcileRun) -> None:
        """Hold the lock for HOLD_S from now. Raises ReconcileLockedError when it was lost."""
        if not self._run(SCRIPTS[1], run.token, int(HOLD_S * 1000)):
            raise ReconcileLockedError(
                "this run gave no sign of life for too long; another process reconciles now"
            )

    def release(self, run: ReconcileRun, outcome: Outcome, unclear: Sequence[str] = ()) -> None:
        """End a run. After a complete one the next starts from where this one began.

        `unclear` are batches that the next run checks wherever it starts from.
        """
        self._run(SCRIPTS[2], run.token, outcome, " ".join(unclear))
