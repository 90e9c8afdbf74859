"""The child process that runs a job: what it inherits, how it is told to stop, what it died of."""

import ctypes
import gc
import os
import signal
import sys
from types import FrameType

from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from receiver.http import trusted_certificates
from workers.job.context import current_settings
from workers.job.shared_memory import request_shutdown, request_timeout

PR_SET_PDEATHSIG = 1
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # glibc's, from malloc.h
LARGE_BLOCK_BYTES = 1024 * 1024
ARENAS = 2


def prepare_forks() -> None:
    """Before the first fork: read what every job needs, and make the forks share its pages.

    Garbage collection writes to the objects that it visits; frozen ones it leaves alone.
    """
    settings = current_settings()
    if settings.proof_key is not None:
        settings.proof_key.sign(b"")  # loads cryptography
    trusted_certificates()
    _limit_malloc()
    gc.collect()
    gc.freeze()


def _limit_malloc() -> None:
    """Keep glibc's malloc from holding freed parts of uploads, and an arena per thread."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)


def prepare_child(parent_pid: int) -> None:
    """In the child: SIGTERM asks the job to hand its batch back; the child ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _signum, _frame: request_shutdown())
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it ended before prctl
            os._exit(1)


class FlagAtTimeout(UnixSignalDeathPenalty):
    """Asks the job to stop at its time limit.

    RQ would raise an exception out of nowhere, which may be swallowed or hit a library.
    """

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        if issubclass(self._exception, JobTimeoutException):
            request_timeout()
        else:
            super().handle_death_penalty(signum, frame)  # type: ignore[no-untyped-call] # RQ's, without types


def explain_death(wait_status: int) -> str:
    """What a child process died of, by the status that `waitpid` returned."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"the process of its job ended with exit code {code}"
    hint = ": out of memory?" if code == -signal.SIGKILL else ""
    return f"the process of its job was killed by {signal.Signals(-code).name}{hint}"
