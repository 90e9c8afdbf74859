"""When a program that ended is started again, and when it is given up. Pure."""

QUICK_S = 30.0  # a run shorter than this got nowhere
MAX_QUICK_ENDS = 5
FIRST_PAUSE_S = 0.5


def count_quick_ends(before: int, lived_s: float) -> int:
    """How many runs in a row were too short, after one more that took `lived_s`.

    >>> count_quick_ends(3, lived_s=0.2), count_quick_ends(3, lived_s=3600)
    (4, 0)
    """
    return before + 1 if lived_s < QUICK_S else 0


def plan_restart_s(quick_ends: int) -> float | None:
    """Seconds before the next start; None when enough was tried.

    >>> [plan_restart_s(count) for count in range(6)]
    [0.5, 0.5, 1.0, 2.0, 4.0, None]
    """
    if quick_ends >= MAX_QUICK_ENDS:
        return None
    return FIRST_PAUSE_S * float(2 ** max(0, quick_ends - 1))
