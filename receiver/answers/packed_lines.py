"""Reads a stored gzip of JSON lines in bounded memory, and no further than its limits allow."""

import gzip
import io
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from receiver.errors import StorageError
from receiver.storage import Storage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 1024 * 1024
MAX_LINE_BYTES = 32 * 1024 * 1024
MIB = 1024 * 1024


@dataclass(frozen=True)
class SearchLimits:
    """How much of one object is unpacked at most, and how long that may take."""

    unpacked_bytes: float
    seconds: float


UNLIMITED = SearchLimits(inf, inf)


class SearchLimitError(StorageError):
    """What is looked for lies further back than the limits allow to look."""

    def __init__(self, name: str, unpacked_bytes: int) -> None:
        looked = f"{unpacked_bytes / MIB:,.0f} MiB of {name} were looked through"
        super().__init__(f"{looked}, which is as far as a search goes here", retryable=False)


class _ChunkFile(io.RawIOBase):
    """Chunks as a file that is read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer)
        if not self._rest:
            self._rest = next((chunk for chunk in self._chunks if chunk), b"")
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def read_line_blocks(
    storage: Storage, name: str, limits: SearchLimits = UNLIMITED
) -> Iterator[bytes] | None:
    """Blocks of whole lines, each line but the last with its newline; None where it is not there.

    Reading them raises SearchLimitError past the limits, and StorageError for what is no whole
    gzip file or has a line of over 32 MiB.
    """
    chunks = storage.read_chunks(name)
    return None if chunks is None else _join_lines(name, _unpack(name, chunks, limits))


def _unpack(name: str, chunks: Iterable[bytes], limits: SearchLimits) -> Iterator[bytes]:
    unpacked, latest_s = 0, time.monotonic() + limits.seconds
    with gzip.GzipFile(fileobj=io.BufferedReader(_ChunkFile(chunks), BLOCK_BYTES)) as file:
        while data := _read_block(name, file):
            if unpacked >= limits.unpacked_bytes or time.monotonic() >= latest_s:
                raise SearchLimitError(name, unpacked)
            unpacked += len(data)
            yield data


def _read_block(name: str, file: gzip.GzipFile) -> bytes:
    try:
        return file.read(BLOCK_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StorageError(f"{name} is no whole gzip file: {error}", retryable=False) from error


def _join_lines(name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    begun = bytearray()  # a line whose end has yet to come
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if len(begun) + (end or len(block)) > MAX_LINE_BYTES + BLOCK_BYTES:
            raise StorageError(f"{name} has a line of over 32 MiB", retryable=False)
        if end:
            yield bytes(begun + block[:end])
            begun.clear()
        begun += block[end:]
    if begun:
        yield bytes(begun)
