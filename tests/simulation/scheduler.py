"""One thread runs at a time, in an order that the seed decides, on a clock that only we step.

A task is a thread that has to hold the baton. It hands the baton on where it waits: for time to
pass, or for another task. The next one is who is due first, so no wait takes any real time.
"""

import _thread
import heapq
import itertools
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.stepped_clock import START_MS

START_NS = START_MS * 1_000_000  # Unix time
allocate_lock = _thread.allocate_lock  # before `primitives` puts a simulated one in its place


class SimulatedCrash(BaseException):
    """A process was killed: what its threads hold in memory is gone, and they do no more."""


class DeadlockError(Exception):
    """Every task waits for another one."""


@dataclass
class Process:
    """What dies together. Its tasks are threads."""

    name: str
    is_alive: bool = True
    paused_until_ns: int = 0  # as by a machine that stands still
    tasks: "list[Task]" = field(default_factory=list)


class Task:
    """A thread of a process."""

    def __init__(self, process: Process, name: str) -> None:
        self.process, self.name = process, name
        self.baton = allocate_lock()
        self.baton.acquire()
        self.is_done = False
        self.joiners: list[Task] = []
        self.turn = 0  # of its last wait: what was planned for earlier ones is void
        process.tasks.append(self)


class Scheduler:
    """The clock, and who runs."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self._planned: list[tuple[int, int, int, Task]] = []
        self._numbers = itertools.count()
        self.current = Task(Process("harness"), "main")
        self.errors: list[str] = []  # that ended a task; none should

    @property
    def now_s(self) -> float:
        """Unix time in seconds."""
        return self.now_ns / 1e9

    @property
    def elapsed_s(self) -> float:
        """Seconds since the seed began: finer than a float of Unix time can be."""
        return (self.now_ns - START_NS) / 1e9

    def plan(self, task: Task, at_ns: int) -> None:
        """Let a task run at that time, unless something else wakes it before."""
        heapq.heappush(self._planned, (at_ns, next(self._numbers), task.turn, task))

    def wake(self, task: Task) -> None:
        """Let a task that waits run now."""
        self.plan(task, self.now_ns)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.wait(self.after_ns(seconds))

    def after_ns(self, seconds: float) -> int:
        """When so much time has passed, so that no float still says that it has not."""
        return self.now_ns + (int(seconds * 1e9) + 1000 if seconds > 0 else 0)

    def wait(self, until_ns: int | None = None) -> None:
        """Hand the baton on, until this task is woken or the time has come."""
        self.raise_if_killed()
        task = self.current
        task.turn += 1
        if until_ns is not None:
            self.plan(task, until_ns)
        self._hand_on(task)
        self.raise_if_killed()

    def raise_if_killed(self) -> None:
        if not self.current.process.is_alive:
            raise SimulatedCrash

    def end(self, task: Task) -> None:
        """The task is over: its joiners go on, and the next one runs."""
        task.is_done = True
        for joiner in task.joiners:
            self.wake(joiner)
        self._pop().baton.release()

    def kill(self, process: Process) -> None:
        """Every task of the process ends at what it waits for."""
        process.is_alive = False
        for task in process.tasks:
            if not task.is_done and task is not self.current:
                self.wake(task)

    def _hand_on(self, task: Task) -> None:
        following = self._pop()
        if following is not task:
            following.baton.release()
            task.baton.acquire()

    def _pop(self) -> Task:
        while self._planned:
            at_ns, _, turn, task = heapq.heappop(self._planned)
            if turn != task.turn or task.is_done:
                continue
            if at_ns < task.process.paused_until_ns:
                self.plan(task, task.process.paused_until_ns)
            else:
                self.now_ns = max(self.now_ns, at_ns)
                self.current = task
                return task
        raise DeadlockError


class _Holder:
    """The scheduler of the seed that runs now."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()


_holder = _Holder()


def scheduler() -> Scheduler:
    return _holder.scheduler


def begin() -> Scheduler:
    """A new clock and no tasks but the caller."""
    _holder.scheduler = Scheduler()
    return _holder.scheduler


def spawn(process: Process, name: str, run: Callable[[], None]) -> Task:
    """Begin a task of a process; it ends silently when the process is killed."""
    now = scheduler()
    task = Task(process, name)

    def body() -> None:
        task.baton.acquire()
        try:
            now.raise_if_killed()
            run()
        except SimulatedCrash:
            pass
        except Exception:  # noqa: BLE001 - it is a finding, whatever it is
            now.errors.append(f"{task.name}: {traceback.format_exc()}")
        finally:
            now.end(task)

    now.wake(task)
    _thread.start_new_thread(body, ())
    return task
