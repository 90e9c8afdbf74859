"""When a notice is tried again: the schedule of Standard Webhooks. A pure decision, tested as a table."""

DELAYS_S = (
    0,
    5,
    5 * 60,
    30 * 60,
    2 * 3600,
    5 * 3600,
    10 * 3600,
    14 * 3600,
    20 * 3600,
    24 * 3600,
)  # before each try
BASE_S = DELAYS_S[1]  # the delay that the others are in proportion to


def plan_next_s(tries: int, base_s: float = BASE_S, asked_s: float | None = None) -> float | None:
    """Delay after failed try number `tries`, never less than the receiver asked; None after the last one.

    >>> [plan_next_s(tries) for tries in (1, 2, 9, 10)]
    [5.0, 300.0, 86400.0, None]
    """
    if tries >= len(DELAYS_S):
        return None
    return max(DELAYS_S[tries] * base_s / BASE_S, asked_s or 0)
