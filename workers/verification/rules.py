"""Checks a stored batch by its own records: bytes against index, index against manifest.

Everything streams: an object and its rows are read side by side, and only sums are kept of the
index.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from receiver.answers.index_rows import StoredRow
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import ERROR_FILE
from receiver.outputs.paths import errors_name, unkeyed_name, unmatched_places
from workers.verification.findings import Discrepancy

NAMED_GAPS = 5
NOWHERE = -1


class Piece(NamedTuple):
    """Where one line lies in its object."""

    line: int
    offset: int
    length: int  # without the newline
    sha256: str
    at: int = NOWHERE  # where it begins in the source; NOWHERE when nobody asks


Keep = Callable[[int, Sequence[bytes | memoryview]], None]


class IndexChecks:
    """Takes the rows of an index in order, then compares their sums with the manifest."""

    def __init__(self, batch_id: str, index_name: str) -> None:
        self._batch_id, self._index_name = batch_id, index_name
        self.errors_name = errors_name(batch_id)
        self._unmatched_places = unmatched_places(batch_id)
        self._unmatched = 0
        self.rows = self.size_bytes = 0  # size of the outputs, with newlines
        self._last = 0
        self._gaps: list[str] = []
        self._outcomes: Counter[str] = Counter()

    def add(self, row: StoredRow) -> Iterator[Discrepancy]:
        """What is wrong with the row itself."""
        self.rows += 1
        self._outcomes[row.outcome] += 1
        if row.object != self.errors_name:
            self.size_bytes += row.length + 1
            self._unmatched += row.object.startswith(self._unmatched_places)
        if row.line <= self._last:
            yield Discrepancy(
                self._index_name, row.line, f"its row stands after that of line {self._last}"
            )
            return
        if row.line > self._last + 1 and len(self._gaps) < NAMED_GAPS:
            end = row.line - 1
            self._gaps.append(str(end) if end == self._last + 1 else f"{self._last + 1} to {end}")
        self._last = row.line
        if row.object not in self._places(row):
            yield Discrepancy(
                self._index_name,
                row.line,
                f"a line that is {row.outcome} does not belong in {row.object}",
            )

    def _places(self, row: StoredRow) -> tuple[str, ...]:
        """The objects that a row may name."""
        if row.outcome in ERROR_FILE:
            return (self.errors_name,)
        if row.outcome == "unkeyed":
            return tuple(
                unkeyed_name(self._batch_id, row.line, groups=groups) for groups in (False, True)
            )
        return () if row.object == self.errors_name else (row.object,)

    def check_sums(
        self, manifest: Manifest, manifest_name: str, objects: int
    ) -> Iterator[Discrepancy]:
        """Where manifest and rows differ; `objects` is the number of outputs that the rows name."""
        if (
            self.rows + manifest.source.blank != manifest.source.lines
            or self._last > manifest.source.lines
        ):
            gaps = f"; without a row: {', '.join(self._gaps)}" if self._gaps else ""
            yield Discrepancy(
                self._index_name,
                None,
                f"{self.rows} rows up to line {self._last} and {manifest.source.blank} blank lines "
                f"are not the {manifest.source.lines} lines of the source{gaps}",
            )
        for outcome in sorted(self._outcomes.keys() | manifest.outcomes.keys()):
            said, found = manifest.outcomes.get(outcome, 0), self._outcomes[outcome]
            if said != found:
                yield Discrepancy(
                    manifest_name, None, f"it says {said} {outcome}, the index has {found}"
                )
        if manifest.unmatched not in (msgspec.UNSET, self._unmatched):
            message = (
                f"it says {manifest.unmatched} unmatched keys, the index has {self._unmatched}"
            )
            yield Discrepancy(manifest_name, None, message)
        if manifest.objects.count != objects:
            yield Discrepancy(
                manifest_name,
                None,
                f"it says {manifest.objects.count} objects, the index names {objects}",
            )
        if manifest.objects.bytes != self.size_bytes:
            message = f"it says {manifest.objects.bytes} bytes of outputs"
            yield Discrepancy(manifest_name, None, f"{message}, the index has {self.size_bytes}")


def check_totals(manifest: Manifest, manifest_name: str) -> Iterator[Discrepancy]:
    """Requests must be results plus missing ones, unless the manifest itself says otherwise."""
    results = sum(manifest.outcomes.values())
    requests, missing = manifest.requests, manifest.missing
    if requests is None:
        if missing is not None or manifest.balanced is not None:
            yield Discrepancy(
                manifest_name,
                None,
                "it knows what is missing, but not how many requests there were",
            )
        return
    if requests != results + (missing or 0):
        yield Discrepancy(
            manifest_name,
            None,
            f"{requests} requests are not {results} results and {missing} missing",
        )
    elif missing is None or manifest.balanced is None:
        yield Discrepancy(
            manifest_name, None, "it knows how many requests there were, but not what is missing"
        )
    elif not manifest.balanced:
        yield Discrepancy(manifest_name, None, "it says itself that the counts don't add up")


class _Reader:
    """Walks through chunks by sizes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self.position = 0

    def take(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes in pieces; fewer at the end of the object."""
        while size > 0:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return
                self._rest = memoryview(chunk)
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            self.position += len(piece)
            yield piece

    def skip_to(self, position: int) -> int:
        """Leave bytes out. Returns how many there were."""
        return sum(len(piece) for piece in self.take(position - self.position))


def check_object(
    name: str, pieces: Iterable[Piece], chunks: Iterable[bytes], keep: Keep | None = None
) -> Iterator[Discrepancy]:
    """Compare an object with its rows, sorted by offset; every byte must belong to one line.

    `keep` takes the bytes of every line, with its newline, and their place in the source.
    """
    reader = _Reader(chunks)
    for piece in pieces:
        expected = reader.position
        if piece.offset != expected:
            yield Discrepancy(
                name, piece.line, f"it begins at byte {piece.offset}, where {expected} was expected"
            )
        if piece.offset < expected:
            continue
        reader.skip_to(piece.offset)
        digest = _digest_line(reader, piece, keep)
        ended = reader.position
        newline = b"".join(reader.take(1))
        if ended < piece.offset + piece.length:
            yield Discrepancy(
                name, piece.line, f"the object ends at byte {ended}, before the line does"
            )
        elif digest != piece.sha256:
            yield Discrepancy(
                name, piece.line, "its bytes are not those that the sha256 of its row was made of"
            )
        elif newline != b"\n":
            yield Discrepancy(name, piece.line, "no newline follows it")
    surplus = reader.skip_to(2**63)
    if surplus:
        yield Discrepancy(name, None, f"it holds {surplus} bytes that no row of the index names")


def _digest_line(reader: _Reader, piece: Piece, keep: Keep | None) -> str:
    """The sha256 of a line in hex; its bytes go to `keep`, the last ones with the newline."""
    digest, at, waiting = hashlib.sha256(), piece.at, list[bytes | memoryview]()
    kept = keep if at != NOWHERE else None
    for part in reader.take(piece.length):
        digest.update(part)
        if kept is not None:
            if waiting:
                kept(at, waiting)
                at += len(waiting[0])
            waiting = [part]
    if kept is not None:
        kept(at, [*waiting, b"\n"])
    return digest.hexdigest()
