"""Every call that leaves the process: to Redis, the storage, Gemini, and to who gets notices.

Before and after each, the process may be killed, and others may run. All that a process does
between two of them is known to nobody else, so these are all the moments that matter.
"""

import random
import re
import zlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from tests.simulation.faults import MAX_WORKER_CRASHES, Faults
from tests.simulation.scheduler import Scheduler, SimulatedCrash

T = TypeVar("T")
LATENCIES_S = {
    "redis": 0.002,
    "storage": 0.04,
    "gemini": 0.15,
    "download": 0.05,
    "delivery": 0.1,
    "notice": 0.1,
}
SLOW_S = {
    "redis": (0.1, 1.5),
    "storage": (1.0, 20.0),
    "gemini": (1.0, 25.0),
    "download": (1.0, 25.0),
    "delivery": (1.0, 8.0),
    "notice": (1.0, 14.0),
}
PAUSES_S, LEFT_OUT = (3.0, 80.0), 0.8
COMMIT = re.compile(r" (create|put) .*/_manifest\.json")
AFTER = frozenset({"lost", "unsure", "unsure 503"})  # it was done, and nobody heard


class Effects:
    """Numbers the effects of one seed, and decides what befalls each."""

    def __init__(
        self,
        scheduler: Scheduler,
        generator: random.Random,
        faults: Faults,
        say: Callable[[str], None] | None,
    ) -> None:
        self.scheduler, self.faults = scheduler, faults
        self._generator, self._say = generator, say
        self.count = 0
        self.digest = 0  # of all that happened: two runs of a seed have the same

    def note(self, words: str) -> None:
        """Add a line to the trace."""
        now = self.scheduler
        task = now.current
        line = f"{now.elapsed_s:10.3f}  {task.process.name:<12} {words}"
        self.digest = zlib.crc32(line.encode(), self.digest)
        if self._say is not None:
            self._say(line)

    def run(
        self,
        target: str,
        label: str,
        perform: Callable[[], T],
        errors: Mapping[str, Callable[[], Exception]],
        allowed: tuple[str, ...] | None = None,
    ) -> T:
        """Perform a call, unless a fault befalls it.

        `errors` says what a fault raises; those named in AFTER are raised once it is done.
        """
        fault = self.begin(target, label, allowed)
        make_error = errors.get(fault or "")
        if make_error and fault not in AFTER:
            raise make_error()
        result = perform()
        self.end(label)
        if make_error:
            raise make_error()
        return result

    def begin(self, target: str, label: str, allowed: tuple[str, ...] | None = None) -> str | None:
        """The time until the call arrives passes; gives the fault that it meets."""
        now = self.scheduler
        now.raise_if_killed()
        self.count += 1
        number = self.count
        fault = self.faults.take(target, now.now_ns, allowed)
        self._maybe_kill(f"#{number} before {label}")
        self._maybe_pause(f"before {label}")
        seconds = self._generator.random() * LATENCIES_S[target]
        if fault == "slow":
            seconds += self._generator.uniform(*SLOW_S[target])
        now.sleep(seconds)
        self.note(f"#{number} {target} {label}{f' ! {fault}' if fault else ''}")
        return fault

    def end(self, label: str) -> None:
        """The call was carried out, and its answer is on the way."""
        self.scheduler.raise_if_killed()
        self._maybe_kill(f"after {label}")

    def _befalls(self, fault: str, where: str) -> bool:
        """Whether the process of the current task is killed, or pauses.

        A worker that holds a batch may do so a few times only: then it is buried, rightly. So it
        seldom does without one, and more often where it commits.
        """
        kind = self.scheduler.current.process.name.partition(" ")[0]
        is_worker = kind == "worker"
        if is_worker and self.faults.crashes >= MAX_WORKER_CRASHES:
            return False
        if is_worker and " rq:" in where and self._generator.random() < LEFT_OUT:
            return False
        kinds = ("commit", kind) if COMMIT.search(where) else (kind,)
        befalls = self.faults.take(fault, self.scheduler.now_ns, kinds) is not None
        self.faults.crashes += befalls and is_worker
        return befalls

    def _maybe_kill(self, where: str) -> None:
        if self._befalls("crash", where):
            self.note(f"killed {where}")
            self.scheduler.kill(self.scheduler.current.process)
            raise SimulatedCrash

    def _maybe_pause(self, where: str) -> None:
        """All of the process stands still; what it was about to do, it does late."""
        now = self.scheduler
        if self._befalls("pause", where):
            seconds = self._generator.uniform(*PAUSES_S)
            now.current.process.paused_until_ns = now.after_ns(seconds)
            self.note(f"paused for {seconds:.0f} s {where}")
            now.sleep(seconds)
