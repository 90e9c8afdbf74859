"""Cuts the requests of a round into parts, and stores each part's requests by their hash."""

from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from hashlib import sha256
from pathlib import Path

from receiver.storage import Storage
from receiver.submissions.records import requests_name
from receiver.submissions.splitting import MAX_FILE_BYTES, MAX_INLINE_BYTES
from receiver.submissions.submission import Lane, Part, Submission
from workers.store.records import GzipWriter

MICRO_DOLLAR = Decimal("0.000001")


@dataclass(frozen=True)
class PartLimits:
    """What one batch takes; None where there is no limit."""

    size_bytes: int
    requests: int | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, submission: Submission) -> "PartLimits":
        """Those by which the first sending was cut: where it was cut, no part may be larger."""
        size_bytes = MAX_INLINE_BYTES if submission.spec.inline else MAX_FILE_BYTES
        parts = submission.parts
        if len(parts) == 1:
            return cls(size_bytes)
        tokens = [part.tokens for part in parts if part.tokens is not None]
        largest = max(tokens) if len(tokens) == len(parts) else None
        return cls(size_bytes, max(part.requests for part in parts), largest)


@dataclass(frozen=True)
class PartPlace:
    """Where the parts of a round stand in their submission."""

    first_number: int
    round: int
    lane: Lane


@dataclass
class _Sums:
    """Of one part. Tokens and cost are None once they are not known of a request."""

    size_bytes: int = 0
    requests: int = 0
    tokens: int | None = 0
    cost: Decimal | None = field(default_factory=Decimal)


class PartWriter:
    """Takes the requests of a round in order; then `finish`. Raises StorageError and OSError."""

    def __init__(
        self, storage: Storage, folder: Path, place: PartPlace, limits: PartLimits
    ) -> None:
        """`folder` is on the scratch disk."""
        self._storage, self._path = storage, folder / "part.jsonl.gz"
        self._place, self._limits = place, limits
        self._parts: list[Part] = []
        self._sums, self._digest = _Sums(), sha256()
        self._file: GzipWriter | None = None

    def add(self, line: bytes, tokens: int | None, cost: Decimal | None) -> None:
        """Add a request with its newline, and what is estimated of it."""
        if self._sums.requests and self._is_too_much(len(line), tokens):
            self._close_part()
        if self._file is None:
            self._file = GzipWriter(self._path)
        self._file.write(line)
        self._digest.update(line)
        sums = self._sums
        sums.size_bytes += len(line)
        sums.requests += 1
        sums.tokens = None if None in {sums.tokens, tokens} else (sums.tokens or 0) + (tokens or 0)
        sums.cost = None if sums.cost is None or cost is None else sums.cost + cost

    def _is_too_much(self, size: int, tokens: int | None) -> bool:
        sums, limits = self._sums, self._limits
        return (
            sums.size_bytes + size > limits.size_bytes
            or sums.requests == limits.requests
            or (limits.tokens is not None and (sums.tokens or 0) + (tokens or 0) > limits.tokens)
        )

    def _close_part(self) -> None:
        if self._file is None:
            return
        self._file.finish()
        sums, place, digest = self._sums, self._place, self._digest.hexdigest()
        if not self._storage.exists(requests_name(digest)):
            self._storage.put_files([(requests_name(digest), self._path)])
        part = Part(
            number=place.first_number + len(self._parts),
            first_line=0,
            offset=0,
            size_bytes=sums.size_bytes,
            requests=sums.requests,
            sha256=digest,
            round=place.round,
            tokens=sums.tokens,
            most_cost=sums.cost and sums.cost.quantize(MICRO_DOLLAR, ROUND_UP),
            lane=place.lane,
        )
        self._parts.append(part)
        self._sums, self._digest, self._file = _Sums(), sha256(), None

    def finish(self) -> tuple[Part, ...]:
        """The parts, whose requests are all in the storage."""
        self._close_part()
        return tuple(self._parts)

    def close(self) -> None:
        """Harmless after `finish`."""
        if self._file is not None:
            self._file.close()
