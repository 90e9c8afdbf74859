"""When to try again: pure decisions, tested as a table."""

import random

WAIT_BASE_S = 1.0
WAIT_CAP_S = 600.0
ERROR_CAP_S = 3600.0
JITTER = 0.2


def plan_wait_s(waits: int) -> float:
    """Delay before Gemini is asked again when it was not ready: doubles from 1 s to ten minutes."""
    return float(min(WAIT_BASE_S * 2 ** min(waits, 20), WAIT_CAP_S))


def plan_retry_s(attempts: int, base_s: float, asked_s: float | None = None) -> float:
    """Delay after error number `attempts` + 1: grows fourfold from `base_s`, never less than the other side asked."""
    return float(max(min(base_s * 4 ** min(attempts, 10), ERROR_CAP_S), asked_s or 0))


def jittered(delay_s: float) -> float:
    """The delay plus up to a fifth, so that what failed together does not return together."""
    return delay_s * (1 + random.random() * JITTER)  # noqa: S311 - spreads load, guards nothing
