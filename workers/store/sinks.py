"""Gathers the lines of a batch on their way to the storage, in bounded memory and few files."""

from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Protocol

from receiver.storage import Storage

OBJECT_BATCH_SIZE = 2048
OBJECT_BATCH_BYTES = 8 * 1024 * 1024  # twice: one batch is written while the next one gathers
GROUP_BUFFER_BYTES = 96 * 1024  # from 128 KiB on, malloc maps fresh pages for every join
ALL_BUFFERS_BYTES = 32 * 1024 * 1024
OPEN_FILES = 128
FILE_BATCH_SIZE = 64


class Sink(Protocol):
    """Takes lines; all outputs are in the storage once `close` returns."""

    objects: int
    size_bytes: int

    def write(self, name: str, line: bytes) -> int:
        """Add a line and its newline to an output. Returns the offset of the line in it."""

    def close(self) -> None:
        """Write what has gathered."""

    def stop(self) -> None:
        """End writes that are under way, also after an error: nothing is written after this."""


class ObjectSink:
    """One output per line: a lot of them becomes durable while the next ones gather."""

    def __init__(self, storage: Storage, check: Callable[[], None]) -> None:
        self._storage, self._check = storage, check
        self._lots = deque([storage.start_lot()])  # of two, the first is being flushed
        self._lot_objects = self._lot_bytes = 0  # of the last
        self._flusher = ThreadPoolExecutor(1, "outputs")
        self._flushing: Future[None] | None = None
        self.objects = self.size_bytes = 0

    def write(self, name: str, line: bytes) -> int:
        self._lots[-1].add(name, line + b"\n")
        self._lot_objects += 1
        self._lot_bytes += len(line) + 1
        if self._lot_bytes >= OBJECT_BATCH_BYTES or self._lot_objects >= OBJECT_BATCH_SIZE:
            self._send()
        return 0

    def _send(self) -> None:
        """Flush what has gathered, once the lot before is stored."""
        self._finish()
        self._check()
        self._flushing = self._flusher.submit(self._lots[-1].flush)
        self._lots.append(self._storage.start_lot())
        is_large = self._lot_bytes >= 2 * OBJECT_BATCH_BYTES
        self.objects += self._lot_objects
        self.size_bytes += self._lot_bytes
        self._lot_objects = self._lot_bytes = 0
        if is_large:  # of a long line: no second one beside it in memory
            self._finish()

    def _finish(self) -> None:
        """Wait for the lot that is being flushed, and name its objects."""
        if self._flushing is not None:
            self._flushing.result()
            self._flushing = None
            self._check()
            self._lots[0].name()
            self._lots.popleft()

    def close(self) -> None:
        if self._lot_objects:
            self._send()
        self._finish()

    def stop(self) -> None:
        self._flusher.shutdown()
        for lot in self._lots:
            lot.discard()


class _Group:
    """One output under way: a scratch file, and lines that are still in memory."""

    __slots__ = ("buffer", "buffered", "number", "size")

    def __init__(self, number: int) -> None:
        self.number = number  # of its scratch file
        self.buffer: list[bytes] = []
        self.buffered = 0
        self.size = 0


class GroupSink:
    """Many lines per output, in the source's order: scratch files are stored whole at the end."""

    def __init__(
        self,
        storage: Storage,
        check: Callable[[], None],
        scratch: Path,
        buffers_bytes: int = ALL_BUFFERS_BYTES,
    ) -> None:
        self._storage, self._check, self._scratch = storage, check, scratch
        self._buffers_bytes = buffers_bytes
        self._groups: dict[str, _Group] = {}
        self._open: OrderedDict[int, IO[bytes]] = OrderedDict()
        self._buffered = 0
        self.objects = self.size_bytes = 0

    def write(self, name: str, line: bytes) -> int:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(len(self._groups))
        offset, length = group.size, len(line) + 1
        group.buffer += (line, b"\n")
        group.size += length
        group.buffered += length
        self._buffered += length
        if group.buffered >= GROUP_BUFFER_BYTES:
            self._flush(group)
        elif self._buffered >= self._buffers_bytes:
            for each in self._groups.values():
                self._flush(each)
        return offset

    def _flush(self, group: _Group) -> None:
        if group.buffer:
            self._file(group.number).write(b"".join(group.buffer))
            self._buffered -= group.buffered
            group.buffer, group.buffered = [], 0

    def _path(self, number: int) -> Path:
        return self._scratch / f"group-{number}"

    def _file(self, number: int) -> IO[bytes]:
        """The group's open scratch file; of too many, the one unused for longest is closed."""
        file = self._open.get(number)
        if file is None:
            if len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            file = self._open[number] = self._path(number).open("ab")
        else:
            self._open.move_to_end(number)
        return file

    def close(self) -> None:
        for group in self._groups.values():
            self._flush(group)
        self.stop()
        files = [(name, self._path(group.number)) for name, group in self._groups.items()]
        for start in range(0, len(files), FILE_BATCH_SIZE):
            self._check()
            self._storage.put_files(files[start : start + FILE_BATCH_SIZE])
        self.objects = len(files)
        self.size_bytes = sum(group.size for group in self._groups.values())

    def stop(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()
