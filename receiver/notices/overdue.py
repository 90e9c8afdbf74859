"""Batches that stay pending or running at Gemini: their age, and when they are overdue. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

HOUR_MS = 3600 * 1000
OVERDUE_H = 24  # within which Gemini aims to answer
LAST_CALL_H = 44  # some hours before Gemini may let the batch expire
EXPIRES_H = 48
MAX_SKEW_MS = 5 * 60 * 1000  # by which Gemini's clock may be ahead of ours
MAX_AGE_MS = 366 * 24 * HOUR_MS  # an older date is probably wrong
MAX_TEXT = 200


class RunningBatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A batch that had not ended when Gemini's list was read."""

    batch: str  # its name in the inbox
    state: str  # PENDING, RUNNING, or whatever Gemini calls it
    created: str | None = None  # RFC 3339, by Gemini's clock
    display_name: str | None = None
    model: str | None = None
    requests: int | None = None
    # Of these, by Gemini's counts, which may say nothing while it runs.
    succeeded: int = 0
    failed: int = 0
    pending: int | None = None
    submission: str | None = None  # that sent it, by its name in the inbox

    @property
    def done(self) -> int | None:
        """Requests that Gemini has done; None where it does not say."""
        if self.succeeded or self.failed:
            return self.succeeded + self.failed
        if self.pending is None or self.requests is None:
            return None
        return max(0, self.requests - self.pending)

    def age_ms(self, now_ms: int) -> int | None:
        """Its age; None where it is not known."""
        return read_age_ms(self.created, now_ms)


def read_age_ms(created: str | None, now_ms: int) -> int | None:
    """The age of an RFC 3339 time; None if it is malformed, implausible or has no time zone.

    >>> read_age_ms("1970-01-02T00:00:00.000000001Z", 90_000_000)
    3600000
    >>> read_age_ms("1970-01-02T00:00:00", 90_000_000) is None
    True
    """
    try:
        moment = datetime.fromisoformat(created or "")
        if moment.tzinfo is None:
            return None
        age_ms = now_ms - int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return max(0, age_ms) if -MAX_SKEW_MS <= age_ms <= MAX_AGE_MS else None


def is_overdue(age_ms: int | None) -> bool:
    return age_ms is not None and age_ms >= OVERDUE_H * HOUR_MS


def find_threshold_h(age_ms: int | None) -> int | None:
    """The last threshold for a notice that an age has passed, in hours; None before the first."""
    passed = [
        hours
        for hours in (OVERDUE_H, LAST_CALL_H)
        if age_ms is not None and age_ms >= hours * HOUR_MS
    ]
    return max(passed, default=None)


def describe_overdue(batch: RunningBatch, hours: int) -> dict[str, Any]:
    """The data of a `batch.overdue` notice; without the age, so that repeated ones are equal."""
    return {
        "state": batch.state,
        "created": batch.created,
        "hours": hours,
        "display_name": batch.display_name,
        "model": batch.model,
        "requests": batch.requests,
    }


def sort_by_age(batches: Iterable[RunningBatch], now_ms: int) -> list[RunningBatch]:
    """The oldest first, those of unknown age last."""

    def key(batch: RunningBatch) -> tuple[bool, int]:
        age_ms = batch.age_ms(now_ms)
        return age_ms is None, -(age_ms or 0)

    return sorted(batches, key=key)
