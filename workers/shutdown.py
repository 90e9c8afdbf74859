"""Why this process should stop working. Signal handlers only set it; the job looks at it between steps.

Plain attributes: a handler that took a lock could wait for the very code that it interrupted.
"""


class _Wish:
    shutdown = False
    timeout = False


def request_shutdown() -> None:
    """The platform wants the process to end: hand the batch back."""
    _Wish.shutdown = True


def request_timeout() -> None:
    """The job ran for too long: give the batch up for now."""
    _Wish.timeout = True


def is_shutting_down() -> bool:
    return _Wish.shutdown


def is_out_of_time() -> bool:
    return _Wish.timeout
