"""Whether this process was asked to stop. The signal handler only sets it; the job looks at it between steps."""

import threading

_requested = threading.Event()


def request_shutdown() -> None:
    _requested.set()


def is_shutting_down() -> bool:
    return _requested.is_set()
