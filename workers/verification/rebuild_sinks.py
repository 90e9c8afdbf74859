"""What a rebuild writes to: nothing is stored, and the rows are compared with the stored ones."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from receiver.answers.index_rows import IndexRow, StoredRow
from receiver.outputs.outcomes import ERROR_FILE
from receiver.storage import Lot
from workers.verification.findings import Discrepancy, VerifyReport

NAMED_CHARACTERS = 160


def shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= NAMED_CHARACTERS else f"{text[:NAMED_CHARACTERS]}…"


class RowChecks:
    """An index that compares the rows that the lines make with the stored ones."""

    def __init__(
        self,
        stored: Iterator[StoredRow],
        report: VerifyReport,
        index: str,
        *,
        names: bool,
        same_rules: bool,
    ) -> None:
        """`names` says whether the names are known, and so the offsets."""
        self._stored, self._report, self._index = stored, report, index
        self._names, self._same_rules = names, same_rules
        self.judged_otherwise = 0
        self.first: str | None = None

    def add(self, rows: list[IndexRow]) -> None:
        for made in rows:
            stored = next(self._stored, None)
            if stored is None:
                self._report.add([Discrepancy(self._index, made.line, "the line has no row")])
            elif not self._is_same(stored, made):
                self._compare(stored, made)

    def _is_same(self, stored: StoredRow, made: IndexRow) -> bool:
        same = (
            stored.key == made.key and stored.outcome == made.outcome and stored.line == made.line
        )
        if not self._names:
            return same and (stored.outcome in ERROR_FILE or stored.sha256 == made.sha256)
        place = stored.object == made.object and stored.offset == made.offset
        return same and place and stored.length == made.length and stored.sha256 == made.sha256

    def _compare(self, stored: StoredRow, made: IndexRow) -> None:
        if stored.key != made.key and (self._same_rules or stored.key is not None):
            keys = shortened(stored.key), shortened(made.key)
            self._find(stored, f"its row has the key {keys[0]}, the line itself {keys[1]}")
        elif stored.outcome != made.outcome or stored.key != made.key:
            words = f"its row says {stored.outcome}, the line is {made.outcome}"
            if self._same_rules:
                self._find(stored, words)
            else:
                self.judged_otherwise += 1
                self.first = self.first or f"line {stored.line}: {words}"
        elif stored.object != made.object:
            self._find(
                stored,
                f"its row names {stored.object}, a result of its key belongs in {made.object}",
            )
        elif self._same_rules or not (self.judged_otherwise or stored.outcome in ERROR_FILE):
            self._find(stored, "its place or its bytes are not those that the line makes")

    def _find(self, row: StoredRow, words: str) -> None:
        self._report.add([Discrepancy(self._index, row.line, words)])

    def finish(self) -> str:
        for row in self._stored:
            self._find(row, "no line of the source makes this row")
        return ""


class NullLot:
    """Takes every object, and keeps none."""

    def add(self, name: str, data: bytes) -> None: ...

    def flush(self) -> None: ...

    def name(self) -> None: ...

    def discard(self) -> None: ...


class NullStorage:
    """A storage that takes every object, and has none."""

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None: ...

    def start_lot(self) -> Lot:
        return NullLot()

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None: ...

    def create(self, name: str, data: bytes) -> None: ...

    def read(self, name: str) -> bytes | None:  # noqa: ARG002 - the protocol's
        return None

    def read_to_file(self, name: str, path: Path) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def read_chunks(self, name: str) -> Iterator[bytes] | None:  # noqa: ARG002 - the protocol's
        return None

    def read_range(
        self,
        name: str,  # noqa: ARG002 - the protocol's
        offset: int,  # noqa: ARG002
        length: int,  # noqa: ARG002
    ) -> bytes | None:
        return None

    def size_of(self, name: str) -> int | None:  # noqa: ARG002 - the protocol's
        return None

    def sign(self, name: str, seconds: int) -> None: ...

    def exists(self, name: str) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def list_names(self, folder: str) -> list[str]:  # noqa: ARG002 - the protocol's
        return []

    def iter_names(self, folder: str) -> Iterator[str]:  # noqa: ARG002 - the protocol's
        return iter(())

    def delete(self, name: str) -> None: ...

    def tells_case_apart(self) -> bool:
        return True

    def scratch_near(self) -> Path | None:
        return None

    def flush_near(self, folder: Path) -> None: ...


class CountingSink:
    """Outputs of which only offsets and sums are kept."""

    def __init__(self, *, groups: bool) -> None:
        self._groups = groups
        self._sizes: dict[str, int] = {}
        self.objects = self.size_bytes = 0

    def write(self, name: str, line: bytes) -> int:
        size = len(line) + 1
        self.size_bytes += size
        if not self._groups:
            self.objects += 1
            return 0
        offset = self._sizes.get(name, 0)
        self._sizes[name] = offset + size
        self.objects = len(self._sizes)
        return offset

    def close(self) -> None:
        """Nothing waits here."""

    def stop(self) -> None:
        """Nothing is under way."""
