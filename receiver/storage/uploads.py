"""Many uploads at a time, as many as the storage takes; what fails is tried again, more slowly."""

import asyncio
import random
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from obstore.exceptions import GenericError

from receiver.storage.errors import is_missing_bucket

if sys.platform == "win32":
    from asyncio import run
else:
    from uvloop import run  # moves half as many objects again

# FileNotFoundError: an upload whose completion was not answered is unknown when completed again.
TRANSIENT = (GenericError, FileNotFoundError)
CUT_EVERY_S = 0.5  # what was sent before a cut says nothing about the pace after it
WAIT_BASE_S = 0.2
WAIT_CAP_S = 5.0
Send = Callable[[str, bytes | Path], Awaitable[object]]


class Pace:
    """How many uploads may be in flight: half as many after a failure, one more per good round."""

    def __init__(self, most: int) -> None:
        self._most = self._limit = float(most)
        self._cut_s = 0.0

    @property
    def limit(self) -> int:
        return int(self._limit)

    def quicken(self) -> None:
        self._limit = min(self._most, self._limit + 1 / self._limit)

    def slow_down(self) -> None:
        now_s = time.monotonic()
        if now_s - self._cut_s >= CUT_EVERY_S:
            self._cut_s = now_s
            self._limit = max(1.0, self._limit / 2)


@dataclass
class _Upload:
    name: str
    data: bytes | Path
    failures: int = 0
    failing_since_s: float = 0

    def may_fail(self, error: Exception, patience_s: float) -> bool:
        """Whether it is worth another try after this failure."""
        now_s = time.monotonic()
        if not self.failures:
            self.failing_since_s = now_s
        self.failures += 1
        if isinstance(error, FileNotFoundError):
            return self.failures == 1 and not is_missing_bucket(error)
        return now_s - self.failing_since_s < patience_s

    def wait_s(self) -> float:
        longest_s = min(WAIT_CAP_S, WAIT_BASE_S * 2 ** min(self.failures, 10))
        return random.uniform(longest_s / 2, longest_s)  # noqa: S311 - spreads load, guards nothing


class Uploads:
    """One round of uploads: all of them done, or the first error that patience did not heal."""

    def __init__(self, send: Send, pace: Pace, patience_s: float) -> None:
        self._send, self._pace, self._patience_s = send, pace, patience_s
        self._waiting = deque[_Upload]()
        self._running = 0
        self._failures: list[Exception] = []

    def run(self, objects: Iterable[tuple[str, bytes | Path]]) -> None:
        """Returns when all are durable. Raises what obstore raised."""
        self._waiting.extend(_Upload(name, data) for name, data in objects)
        run(self._run())
        if self._failures:
            raise self._failures[0]

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._start_more(tasks)

    def _start_more(self, tasks: asyncio.TaskGroup) -> None:
        for _ in range(min(self._pace.limit - self._running, len(self._waiting))):
            self._running += 1
            tasks.create_task(self._work(tasks))

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        """Upload what waits, one after the other, until the pace allows fewer at a time.

        After a failure those in flight go on: a cancelled one would leave its parts in the bucket.
        """
        while self._waiting and not self._failures and self._running <= self._pace.limit:
            upload = self._waiting.popleft()
            try:
                await self._send(upload.name, upload.data)
            except Exception as error:  # noqa: BLE001 - raised at the end, whatever it is
                if not isinstance(error, TRANSIENT) or not upload.may_fail(error, self._patience_s):
                    self._failures.append(error)
                    break
                self._pace.slow_down()
                self._waiting.append(upload)
                await asyncio.sleep(upload.wait_s())
            else:
                self._pace.quicken()
                self._start_more(tasks)
        self._running -= 1
