"""How long a command that watches waits between two looks."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from receiver.errors import GeminiError, ReceiverError
from receiver.retry import jittered

MAX_PAUSE_S = 300.0
INTERVAL_S = 10.0
INTERRUPTED = 130  # the exit code that a shell expects after Ctrl-C
F = TypeVar("F", bound=Callable[..., Any])


def pace_options(function: F) -> F:
    """`--interval` and `--timeout`, in seconds."""
    interval = click.option(
        "--interval",
        type=click.FloatRange(min=0.1),
        default=INTERVAL_S,
        show_default=True,
        help="Seconds between checks.",
    )
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        help="Give up after so many seconds.  [default: never]",
    )
    return interval(timeout(function))


class Pace:
    """The interval, longer after faults in a row, until time is over."""

    def __init__(self, interval_s: float, timeout_s: float | None) -> None:
        self._interval_s = interval_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._faults = 0

    def wait(self, fault: ReceiverError | None) -> bool:
        """Wait, longer after faults in a row. False when time is over."""
        self._faults = self._faults + 1 if fault else 0
        retry_after_s = fault.retry_after_s if isinstance(fault, GeminiError) else None
        longest_s = max(MAX_PAUSE_S, self._interval_s)
        pause_s = jittered(
            max(min(self._interval_s * 2 ** min(self._faults, 20), longest_s), retry_after_s or 0)
        )
        if self._deadline is None:
            time.sleep(pause_s)
            return True
        left_s = self._deadline - time.monotonic()
        time.sleep(max(0, min(pause_s, left_s)))
        return left_s > 0


def look_until_done(
    look: Callable[[], bool], pace: Pace, on_fault: Callable[[ReceiverError], None]
) -> None:
    """Look until it says that nothing more is to come, or until time is over.

    A failure of the first look is raised; later ones are waited out, unless waiting can't help.
    """
    is_first = True
    while True:
        fault: ReceiverError | None = None
        try:
            is_done = look()
        except ReceiverError as error:
            if is_first or error.fault == "batch":
                raise
            on_fault(error)
            fault, is_done = error, False
        is_first = False
        if is_done or not pace.wait(fault):
            return
