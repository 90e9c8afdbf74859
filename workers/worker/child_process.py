"""What a work-horse inherits and is told, how it ends with its parent, and what it died of."""

import ctypes
import gc
import os
import signal
import sys
from types import FrameType

from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from receiver.gemini.transport import trusted_certificates
from workers.job.configuration import current_settings
from workers.job.shared_memory import request_shutdown, request_timeout

PR_SET_PDEATHSIG = 1
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # glibc's, from malloc.h
LARGE_BLOCK_BYTES = 1024 * 1024
ARENAS = 2


def share_with_horses() -> None:
    """Before the first fork: read once what every job needs, and keep the collector off the pages that forks share."""
    current_settings()
    trusted_certificates()
    _give_memory_back()
    gc.collect()
    gc.freeze()


def _give_memory_back() -> None:
    """Where malloc is glibc's: it would keep the parts of uploads that were freed, and an arena for every thread."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)


def explain_death(wait_status: int) -> str:
    """What a work-horse died of, by what `waitpid` gave."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"its work-horse ended with exit code {code}"
    hint = ": out of memory?" if code == -signal.SIGKILL else ""
    return f"its work-horse was killed by {signal.Signals(-code).name}{hint}"


class FlagAtTimeout(UnixSignalDeathPenalty):
    """At a job's time limit, asks the job to stop: an exception out of nowhere may be swallowed or hit a library."""

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        if issubclass(self._exception, JobTimeoutException):
            request_timeout()
        else:
            super().handle_death_penalty(signum, frame)  # type: ignore[no-untyped-call] # RQ's, without types


def prepare_horse(parent_pid: int) -> None:
    """In the work-horse: SIGTERM asks the job to hand its batch back; the parent's end ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _signum, _frame: request_shutdown())
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it ended before we asked
            os._exit(1)
