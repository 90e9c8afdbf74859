"""Why a work-horse should stop working. Signal handlers only set it; the job looks at it between steps.

The wishes lie in memory that a worker shares with its work-horse: the worker's wish is seen by the thread that keeps
the lease even while the job's own thread sits in a long call where Python runs no signal handler. There is no lock: a
handler that took one could wait for the very code that it interrupted.
"""

import mmap

SHUTDOWN, TIMEOUT = 0, 1
_wishes = mmap.mmap(-1, 2)  # anonymous and shared: a fork sees the same bytes


def request_shutdown() -> None:
    """The platform wants the process to end: hand the batch back."""
    _wishes[SHUTDOWN] = 1


def request_timeout() -> None:
    """The job ran for too long: give the batch up for now."""
    _wishes[TIMEOUT] = 1


def forget_wishes() -> None:
    """Call before a fork: what the last work-horse was told is not for the next one."""
    _wishes[:] = b"\0\0"


def is_shutting_down() -> bool:
    return bool(_wishes[SHUTDOWN])


def is_out_of_time() -> bool:
    return bool(_wishes[TIMEOUT])
