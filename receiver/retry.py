"""When to try again, and when to stop: pure decisions, tested as a table."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from receiver.errors import Fault

Counter = Literal["attempts", "waits", "outages", "refusals"]

WAIT_BASE_S = 1.0
WAIT_CAP_S = 600.0
ERROR_CAP_S = 3600.0
OUTAGE_CAP_S = 900.0
GROWN = 180  # delays stop growing at so many times RETRY_BASE_S, if not before
LEAST_BASE_S = 0.05  # who sets RETRY_BASE_S to 0 must not ask without pause for days
JITTER = 0.2

# How long results live at Gemini is documented nowhere; users report "a couple of days" and
# "48 hours".
RESULTS_LIVE_S = 48 * 3600.0
EXPIRED_AFTER = 3  # refusals in a row: a single one may be a passing fault even of old results

# Before each try of a notice: the schedule of Standard Webhooks.
_MINUTE, _HOUR = 60, 3600
NOTICE_DELAYS_S = (
    0,
    5,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)


@dataclass(frozen=True)
class Past:
    """What has become of a batch so far. Seconds are by Redis' clock."""

    attempts: int = 0  # crashes, and faults of the batch itself
    outages: int = 0  # faults of others in a row
    outage_s: float = 0  # since the first of them
    refusals: int = 0  # in a row
    refused_s: float = 0  # since the first of them


NOTHING_YET = Past()


@dataclass(frozen=True)
class Patience:
    """How long a batch waits. A late try costs nothing; a buried batch may lose all its results."""

    base_s: float = 5  # before the first retry
    outage_s: float = 7 * 86400.0  # through faults of others: well over RESULTS_LIVE_S

    @property
    def refusal_s(self) -> float:
        """Through refusals in a row: a day, within which a person sees them in `status`."""
        return self.outage_s / 7


@dataclass(frozen=True)
class Next:
    """What becomes of a batch after an error."""

    action: Literal["postpone", "bury", "expire"]
    counter: Counter = "attempts"  # what is counted where it is postponed
    delay_s: float = 0


def plan_next(
    fault: Fault,
    past: Past,
    patience: Patience,
    *,
    retryable: bool = True,
    retry_after_s: float | None = None,
) -> Next:
    """Decide by whose fault an error is; `retryable` counts for faults of the batch alone.

    Those count attempts, and the inbox buries at the fifth. Outages and refusals wait by the
    clock as long as patience lasts, and results that have expired end without an alarm.
    """
    base_s = patience.base_s
    if fault == "batch":
        delay_s = plan_retry_s(past.attempts, base_s, retry_after_s)
        return Next("postpone", "attempts", delay_s) if retryable else Next("bury")
    if fault == "outside":
        if past.outage_s >= patience.outage_s:
            return Next("bury")
        return Next("postpone", "outages", _double(past.outages, base_s, retry_after_s))
    if fault == "expired" and past.refusals + 1 >= EXPIRED_AFTER:
        return Next("expire")
    if past.refused_s >= patience.refusal_s:
        return Next("bury")
    return Next("postpone", "refusals", _double(past.refusals, base_s, retry_after_s))


def _double(before: int, base_s: float, retry_after_s: float | None) -> float:
    """Delay after `before` faults and this one: doubles from the base, at least `retry_after_s`."""
    base_s = max(base_s, LEAST_BASE_S)
    longest_s = min(base_s * GROWN, max(base_s, OUTAGE_CAP_S))
    return float(max(min(base_s * 2 ** min(before, 20), longest_s), retry_after_s or 0))


def plan_wait_s(waits: int) -> float:
    """Delay before Gemini is asked again when it was not ready: doubles from 1 s to ten minutes."""
    return float(min(WAIT_BASE_S * 2 ** min(waits, 20), WAIT_CAP_S))


def plan_retry_s(attempts: int, base_s: float, retry_after_s: float | None = None) -> float:
    """Delay after `attempts` + 1 errors: grows fourfold from `base_s`, at least `retry_after_s`."""
    return float(max(min(base_s * 4 ** min(attempts, 10), ERROR_CAP_S), retry_after_s or 0))


def format_rfc3339(unix_s: float) -> str:
    """In UTC with microseconds, without the final Z: it compares with the times that Gemini writes.

    >>> format_rfc3339(1769083200.5)
    '2026-01-22T12:00:00.500000'
    """
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def has_outlived(ended: str | None, at_s: float) -> bool:
    """Whether a batch that ended then may have no results any more at a Unix time.

    >>> has_outlived("2026-01-20T11:59:00Z", 1769083200)
    True
    >>> has_outlived("2026-01-20T12:01:00Z", 1769083200), has_outlived(None, 1769083200)
    (False, False)
    """
    return ended is not None and ended < format_rfc3339(at_s - RESULTS_LIVE_S)


def plan_notice_retry_s(
    tries: int, base_s: float = NOTICE_DELAYS_S[1], retry_after_s: float | None = None
) -> float | None:
    """Delay after failed try number `tries` of a notice; None after the last one.

    `base_s` stands for the second delay, and the others are in proportion to it. No delay is
    shorter than the `retry_after_s` that the receiver asked for.

    >>> [plan_notice_retry_s(tries) for tries in (1, 2, 9, 10)]
    [5.0, 300.0, 86400.0, None]
    """
    if tries >= len(NOTICE_DELAYS_S):
        return None
    return max(NOTICE_DELAYS_S[tries] * base_s / NOTICE_DELAYS_S[1], retry_after_s or 0)


def jittered(delay_s: float) -> float:
    """The delay plus up to a fifth, so that what failed together does not return together."""
    return delay_s * (1 + random.random() * JITTER)  # noqa: S311 - spreads load, guards nothing
