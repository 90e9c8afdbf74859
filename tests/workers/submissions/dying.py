"""Runs one job of a submission in a process of its own, which is killed or frozen after one effect.

An effect is what others can see: a write to the storage or to Redis, or a call to Gemini that
changes something. What the job calls is wrapped here, in that process: the job knows nothing of it.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from receiver.gemini.transport import Transport
from receiver.inbox.redis import Scripts
from receiver.storage import LocalStorage
from workers.advance import advance_submission
from workers.job.context import current_settings

EFFECTS = (
    (LocalStorage, ("put_many", "put_files", "create", "delete")),
    (Transport, ("exchange", "send_keyless")),
    (Scripts, ("run",)),
)
LIMIT_S = 60.0
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


def _wrap(owner: Any, name: str, after: Callable[[], None]) -> None:
    method = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        answer = method(*args, **kwargs)
        after()
        return answer

    setattr(owner, name, wrapped)


def _run(environ: Mapping[str, str], name: str, end: int, sign: int, told: Connection) -> None:
    """One job; the process gets the signal right after effect number `end`."""
    os.environ.update(environ)
    current_settings.cache_clear()
    effects = 0

    def after() -> None:
        nonlocal effects
        effects += 1
        if effects == end:
            told.send("reached")
            os.kill(os.getpid(), sign)

    for owner, methods in EFFECTS:
        for method in methods:
            _wrap(owner, method, after)
    advance_submission(name)
    told.send("ended")


@contextmanager
def job(
    environ: Mapping[str, str], name: str, end: int, sign: int = signal.SIGKILL
) -> Iterator[tuple[BaseProcess, bool]]:
    """The process, killed or frozen after effect number `end`; False where it ended before."""
    ours, theirs = _forks.Pipe(duplex=False)
    process = _forks.Process(target=_run, args=(dict(environ), name, end, int(sign), theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(LIMIT_S):
            raise TimeoutError(f"the job of {name} did not come to effect {end}")
        yield process, ours.recv() == "reached"
    finally:
        process.kill()
        process.join()
        ours.close()
