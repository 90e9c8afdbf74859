"""Whose turn it is to look at a project's list: of many processes one, at a pace, on Redis' own clock."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import redis

from receiver.errors import ReconcileLockedError
from receiver.inbox.foreign import read_number, read_or
from receiver.inbox.redis import RECONCILE, now_ms, project_key, translate_redis_errors
from receiver.inbox.scripts import Scripts

Outcome = Literal["complete", "unclear", "failed"]
HOLD_S = 180.0  # a holder that says nothing for so long has died; one answer of Gemini may take 120
FAILED_PAUSE_S = 60.0  # before a look that failed is made again


@dataclass(frozen=True)
class ReconcileRun:
    """The right to make one look."""

    token: str
    began_ms: int  # Unix time by Redis' clock, as all of these
    complete_ms: int | None  # start of the last look that saw everything; None when there was none
    first_ms: int  # start of the first look ever: before it nobody waited for callbacks
    unclear: frozenset[str] = frozenset()  # batches that the last complete look gave no verdict on


class ReconcileLock:
    """The turns of one project, kept in one hash. Every call raises InboxUnavailableError when Redis can't be asked."""

    def __init__(self, client: "redis.Redis", interval_s: float, project: str = "") -> None:
        self._client = client
        self._interval_s = interval_s
        self._key = project_key(RECONCILE, project)
        self._run = Scripts(client, ("take_look", "hold_look", "end_look"), self._key).run

    def is_due(self) -> bool:
        """Whether `take` might succeed now; cheap."""
        with translate_redis_errors():
            found: list[Any] = read_or(
                [], lambda: self._client.hmget(self._key, "held_until", "began", "failed")
            )
            now = now_ms(self._client)
        held_until, began, failed = found or [None, None, None]
        pause_s = self._failed_pause_s if failed == b"1" else self._interval_s
        return (read_number(held_until) or 0) <= now and (
            read_number(began) or 0
        ) + pause_s * 1000 <= now

    @property
    def _failed_pause_s(self) -> float:
        return min(self._interval_s, FAILED_PAUSE_S)

    def take(self, *, even_early: bool = False) -> ReconcileRun | None:
        """The turn, or None when it is early. Raises LookHeldError when someone else is looking."""
        token = secrets.token_hex(8)
        times = (
            int(seconds * 1000) for seconds in (self._interval_s, self._failed_pause_s, HOLD_S)
        )
        verdict, *found = self._run("take_look", token, *times, "now" if even_early else "due")
        if verdict == b"held":
            raise ReconcileLockedError(
                "another process is looking at Gemini's list right now: try again in a minute"
            )
        if verdict == b"early":
            return None
        began, complete, first, unclear = found
        names = frozenset(unclear.decode(errors="replace").split())
        return ReconcileRun(token, began, int(complete) if complete else None, first, names)

    def hold(self, look: ReconcileRun) -> None:
        """Say that the look goes on. Raises LookHeldError when it was taken over."""
        if not self._run("hold_look", look.token, int(HOLD_S * 1000)):
            raise ReconcileLockedError(
                "this look took too long without a sign of life; another process looks now"
            )

    def end(self, look: ReconcileRun, outcome: Outcome, unclear: Sequence[str] = ()) -> None:
        """Give the turn back. A complete look moves the mark that the next one starts from.

        `unclear` are the batches that the next one looks at wherever that mark is.
        """
        self._run("end_look", look.token, outcome, " ".join(unclear))
