"""Reads the objects of a batch in threads, each against its rows of the index."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from receiver.storage import Storage
from workers.verification.record_checks import open_output
from workers.verification.rules import Discrepancy, Keep, Piece, VerifyReport, judge_object

OBJECT_BATCH_SIZE = 32  # that one thread reads, one after the other
WAITING_TASKS = 64

Work = list[tuple[str, list[Piece]]]


@dataclass(frozen=True)
class Examiner:
    """Holds objects against their rows, and keeps the bytes of their lines."""

    storage: Storage
    keep: Keep

    def one(self, name: str, pieces: Iterable[Piece]) -> Iterator[Discrepancy]:
        chunks = open_output(self.storage, name)
        if isinstance(chunks, Discrepancy):
            yield chunks
        else:
            yield from judge_object(name, pieces, chunks, self.keep)

    def all(self, work: Work) -> list[Discrepancy]:
        return [finding for name, pieces in work for finding in self.one(name, pieces)]


class Tasks:
    """Objects on their way through the threads; their findings keep the order of the names."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        examine: Examiner,
        report: VerifyReport,
        read: Callable[[int], None],
    ) -> None:
        self._pool, self._examine, self._report, self._read = pool, examine, report, read
        self._gathered: Work = []
        self._running: deque[tuple[int, Future[list[Discrepancy]]]] = deque()

    def add(self, name: str, pieces: list[Piece]) -> None:
        self._gathered.append((name, pieces))
        if len(self._gathered) >= OBJECT_BATCH_SIZE or len(pieces) > OBJECT_BATCH_SIZE:
            self._submit()

    def _submit(self) -> None:
        if len(self._running) >= WAITING_TASKS:
            self._collect()
        self._running.append(
            (len(self._gathered), self._pool.submit(self._examine.all, self._gathered))
        )
        self._gathered = []

    def _collect(self) -> None:
        objects, task = self._running.popleft()
        self._report.add(task.result())
        self._read(objects)

    def finish(self) -> None:
        self._submit()
        while self._running:
            self._collect()
