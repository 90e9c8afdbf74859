"""Waiting for a condition with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LEAST_S, MOST_S = 0.01, 0.05  # between two looks


def eventually(condition: Callable[[], T], timeout_s: float = 10, what: str = "the condition") -> T:
    """The condition's first true value; fails the test at the deadline.

    It looks the less often the longer it waits: looks, such as requests over HTTP, take the
    processor from what is waited for.
    """
    begun = time.monotonic()
    deadline = begun + timeout_s
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout_s:.0f} s"
        time.sleep(min(max((time.monotonic() - begun) / 10, LEAST_S), MOST_S))
