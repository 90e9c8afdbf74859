"""An event loop whose time is the scheduler's, run by a task. It waits for no socket."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from tests.simulation.scheduler import Process, Task, scheduler, spawn


class _Selector(selectors.SelectSelector):
    """Nothing is ever ready: whoever wants the loop to go on wakes its task."""

    def __init__(self) -> None:
        super().__init__()
        self.is_woken = False
        self.waiter: Task | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        now = scheduler()
        now.raise_if_killed()
        if not self.is_woken and (timeout is None or timeout > 0):
            self.waiter = now.current
            now.wait(None if timeout is None else now.after_ns(timeout))
            self.waiter = None
        self.is_woken = False
        return []

    def wake(self) -> None:
        self.is_woken = True
        if self.waiter is not None:
            scheduler().wake(self.waiter)


class Loop(asyncio.SelectorEventLoop):
    """Give it work from other tasks by `call_soon_threadsafe`."""

    def __init__(self) -> None:
        self._waking = _Selector()
        super().__init__(self._waking)

    def time(self) -> float:
        return scheduler().elapsed_s

    def _write_to_self(self) -> None:
        self._waking.wake()


def run_loop(process: Process, loop: Loop, main: Callable[[], Coroutine[Any, Any, None]]) -> Task:
    """Run a loop in a task of a process until `main` ends or the process is killed."""

    def run() -> None:
        try:
            loop.run_until_complete(main())
        finally:
            _close(loop)

    return spawn(process, f"{process.name} loop", run)


def _close(loop: Loop) -> None:
    """Drop what still waits, as a killed process does."""
    tasks: set[Any] = set(asyncio.all_tasks(loop))
    for task in tasks:
        task._log_destroy_pending = False  # noqa: SLF001 - it is meant to be dropped
        with suppress(BaseException):  # whatever its clean-up runs into: nobody waits for it
            task.get_coro().close()
    loop.close()
