"""Where a batch's results come from: a file of Gemini, or the answer that holds them."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Protocol

from receiver.gemini.batches import Gemini
from receiver.gemini.operations import Batch
from workers.download.download import Download


class ResultSource(Protocol):
    """Results as bytes, one JSON object a line."""

    end_proven: bool  # False after the last chunk: nothing says that this was really the end

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes given so far."""

    @property
    def total_bytes(self) -> int | None:
        """Size of the whole; None while nobody has said it."""

    def chunks(self) -> Iterator[bytes]:
        """The source from its first byte to its last; once."""


class InlinedResponses:
    """Results that came inside Gemini's answer: one compact line each."""

    end_proven = True

    def __init__(self, rows: tuple[bytes, ...]) -> None:
        self._rows = rows
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def total_bytes(self) -> int:
        return sum(len(row) + 1 for row in self._rows)

    def chunks(self) -> Iterator[bytes]:
        for row in self._rows:
            line = row + b"\n"
            self._digest.update(line)
            yield line


def open_source(gemini: Gemini, batch: Batch, check: Callable[[], None]) -> ResultSource:
    """The results of a batch that has output. `check` may end a download that waits."""
    if batch.result_file:
        return Download(gemini, batch.result_file, check)
    return InlinedResponses(batch.inlined or ())
