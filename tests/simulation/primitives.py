"""The standard library's clocks, locks, threads and random bytes, as the scheduler has them.

They take the place of the real ones before the product is imported, so that it runs unchanged:
what it waits for takes no time, and what it draws is drawn from the seed.
"""

import _thread
import os
import queue
import random
import threading
import time
from collections import deque
from types import TracebackType
from typing import Any

from tests.simulation.scheduler import SimulatedCrash, Task, scheduler

RealThread = threading.Thread
_gmtime = time.gmtime
_bytes = random.Random(0)


class Lock:
    """In place of `threading.Lock`."""

    def __init__(self) -> None:
        self._is_held = False
        self._waiting: deque[Task] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002
        if self._is_held and not blocking:
            return False
        now = scheduler()
        until_ns = None if timeout < 0 else now.after_ns(timeout)
        while self._is_held:
            if until_ns is not None and now.now_ns >= until_ns:
                return False
            self._waiting.append(now.current)
            try:
                now.wait(until_ns)
            finally:
                self._forget(now.current)
        self._is_held = True
        return True

    def _forget(self, task: Task) -> None:
        if task in self._waiting:
            self._waiting.remove(task)

    def release(self) -> None:
        if not self._is_held:
            raise RuntimeError("release unlocked lock")
        self._is_held = False
        if self._waiting:
            scheduler().wake(self._waiting.popleft())

    def locked(self) -> bool:
        return self._is_held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._is_held = False


class Thread(RealThread):
    """In place of `threading.Thread`: a task of the process of its starter."""

    _task: Task | None = None

    def start(self) -> None:
        now = scheduler()
        self.daemon = True
        self._task = Task(now.current.process, self.name)
        now.wake(self._task)
        super().start()

    def _bootstrap(self) -> None:
        assert self._task is not None
        now = scheduler()
        self._task.baton.acquire()
        try:
            super()._bootstrap()  # type: ignore[misc]
        finally:
            now.end(self._task)

    def join(self, timeout: float | None = None) -> None:
        now, task = scheduler(), self._task
        assert task is not None
        until_ns = None if timeout is None else now.after_ns(timeout)
        while not task.is_done and (until_ns is None or now.now_ns < until_ns):
            task.joiners.append(now.current)
            now.wait(until_ns)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.is_done


def _sleep(seconds: Any) -> None:
    scheduler().sleep(float(seconds))


def _ignore_crashes(args: threading.ExceptHookArgs) -> None:
    if not isinstance(args.exc_value, SimulatedCrash):
        threading.__excepthook__(args)


def seed_random(seed: int) -> None:
    """Everything random follows from the seed, secrets too."""
    random.seed(seed)
    _bytes.seed(seed)


def install() -> None:
    """Call once, before the product is imported."""
    time.time = lambda: scheduler().now_s
    time.time_ns = lambda: scheduler().now_ns
    time.monotonic = lambda: scheduler().elapsed_s
    time.monotonic_ns = lambda: scheduler().now_ns
    time.clock_gettime = lambda _: scheduler().elapsed_s
    time.gmtime = lambda seconds=None: _gmtime(scheduler().now_s if seconds is None else seconds)
    time.sleep = _sleep

    # What is written in Python stands on what we put in; the same in C would really wait.
    recursive = getattr(threading, "_RLock")  # noqa: B009 - a private name
    names: dict[str, Any] = {"Thread": Thread, "Lock": Lock, "RLock": recursive}
    names |= {"_allocate_lock": Lock, "_time": time.monotonic, "excepthook": _ignore_crashes}
    for name, value in names.items():
        setattr(threading, name, value)
    others: list[tuple[Any, str, Any]] = [
        (queue, "time", time.monotonic),
        (queue, "SimpleQueue", getattr(queue, "_PySimpleQueue")),  # noqa: B009 - likewise
        (_thread, "allocate_lock", Lock),
        (os, "urandom", _bytes.randbytes),
        (random, "_urandom", _bytes.randbytes),  # `secrets` draws from it
    ]
    for module, name, value in others:
        setattr(module, name, value)
