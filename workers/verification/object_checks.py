"""Reads the objects of a batch in threads, each against its rows of the index."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, islice
from operator import itemgetter

from receiver.storage import Storage
from receiver.storage.ordered_map import ordered_map
from workers.verification.findings import Discrepancy, VerifyReport
from workers.verification.record_checks import open_output
from workers.verification.rules import Keep, Piece, check_object

OBJECT_BATCH_SIZE = 32  # that one thread reads, one after the other
ROW_BATCH_SIZE = 1000  # an object of more is read while its rows come from the table

Work = list[tuple[str, list[Piece]]]
PieceRow = tuple[str, int, int, int, str, int]  # the name of the object, then a Piece


class ObjectChecks:
    """Compares the objects of a batch with their rows."""

    def __init__(
        self,
        storage: Storage,
        errors_name: str,
        keep: Keep,
        report: VerifyReport,
        on_progress: Callable[[int], None],
    ) -> None:
        """`keep` takes the bytes of each line, from any thread.

        `on_progress` takes how many more objects were read.
        """
        self._storage, self._errors_name, self._keep = storage, errors_name, keep
        self._report, self._on_progress = report, on_progress
        self._outputs = 0

    def run(self, rows: Iterable[PieceRow]) -> int:
        """Read each object that a row names, and the errors; `rows` are sorted by object and place.

        Returns the number of outputs. Findings keep the order of the names; those of objects with
        many rows come first.
        """
        for objects, findings in ordered_map(self._check_all, self._batches(rows)):
            self._report.add(findings)
            self._on_progress(objects)
        return self._outputs

    def _batches(self, rows: Iterable[PieceRow]) -> Iterator[Work]:
        """Objects with few rows, several together; one with many is read here, row by row."""
        gathered: Work = []
        has_errors = False
        for name, group in groupby(rows, itemgetter(0)):
            has_errors = has_errors or name == self._errors_name
            self._outputs += name != self._errors_name

            pieces = (Piece(*row[1:]) for row in group)
            first = list(islice(pieces, ROW_BATCH_SIZE))
            if len(first) == ROW_BATCH_SIZE:
                self._report.add(self._check(name, chain(first, pieces)))
                self._on_progress(1)
                continue
            gathered.append((name, first))
            if len(gathered) >= OBJECT_BATCH_SIZE or len(first) > OBJECT_BATCH_SIZE:
                yield gathered
                gathered = []

        if not has_errors:
            gathered.append((self._errors_name, []))
        if gathered:
            yield gathered

    def _check_all(self, work: Work) -> tuple[int, list[Discrepancy]]:
        """How many objects these are, and what is off with them."""
        return len(work), [one for name, pieces in work for one in self._check(name, pieces)]

    def _check(self, name: str, pieces: Iterable[Piece]) -> Iterator[Discrepancy]:
        chunks = open_output(self._storage, name)
        if isinstance(chunks, Discrepancy):
            yield chunks
        else:
            yield from check_object(name, pieces, chunks, self._keep)
