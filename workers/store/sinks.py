"""Gathers the lines of a batch on their way to the storage, in bounded memory and few files."""

import errno
import os
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Protocol

from receiver.storage import Storage
from workers.store.group_log import GroupLog

OBJECT_BATCH_SIZE = 2048
OBJECT_BATCH_BYTES = 8 * 1024 * 1024  # twice: one batch is written while the next one gathers
GROUP_BYTES = 96 * 1024  # that wait of one group: so few are still in the processor's cache
ALL_GROUPS_BYTES = 16 * 1024 * 1024
LINE_OVERHEAD_BYTES = 128  # of Python's objects for a short line
OWN_FILE_BYTES = 32 * 1024  # as large is a group's first write that goes to a file of its own
OPEN_FILES = 128
EARLY_FLUSH_BYTES = 128 * 1024 * 1024
FILE_BATCH_SIZE = 64
_NEW, _IN_LOG, _IN_FILE = range(3)


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
        self.put(name, line + b"\n")
        return 0

    def put(self, name: str, data: bytes) -> None:
        """Add a whole output."""
        self._lots[-1].add(name, data)
        self._lot_objects += 1
        self._lot_bytes += len(data)
        if self._lot_bytes >= OBJECT_BATCH_BYTES or self._lot_objects >= OBJECT_BATCH_SIZE:
            self._send()

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


class GroupSink:
    """Many lines per output, in the source's order.

    A group that is large has a scratch file of its own, which becomes its output. All others share
    a log: a file for each would take longer to open than to write.
    """

    def __init__(
        self,
        storage: Storage,
        check: Callable[[], None],
        scratch: Path,
        memory_bytes: int = ALL_GROUPS_BYTES,
    ) -> None:
        """`memory_bytes` is for lines that wait to be written to scratch files."""
        self._storage, self._check = storage, check
        self._numbers: dict[str, int] = {}  # of the groups, by their names, in order
        self._sizes = array("q")  # of the groups, in bytes
        self._written = array("q")  # of that, to files of their own
        self._kinds = bytearray()  # of the groups: where their earlier lines are
        self._waiting: dict[int, list[bytes]] = {}  # lines, by group
        self._memory_bytes, self._waiting_bytes = memory_bytes, 0
        self._files = _GroupFiles(scratch)
        self._early_flush = _EarlyFlush(storage, scratch)
        self._log = GroupLog(scratch / "groups")
        self.objects = self.size_bytes = 0

    def write(self, name: str, line: bytes) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._add_group(name)
        lines = self._waiting.get(number)
        if lines is None:
            lines = self._waiting[number] = []
        lines += (line, b"\n")
        length = len(line) + 1
        offset = self._sizes[number]
        self._sizes[number] = size = offset + length
        self._waiting_bytes += length + LINE_OVERHEAD_BYTES
        if size - self._written[number] >= GROUP_BYTES and self._kinds[number] != _IN_LOG:
            self._write_file(number, self._waiting.pop(number))
        elif self._waiting_bytes >= self._memory_bytes:
            self._flush()
        return offset

    def _add_group(self, name: str) -> int:
        number = self._numbers[name] = len(self._numbers)
        self._sizes.append(0)
        self._written.append(0)
        self._kinds.append(_NEW)
        return number

    def _write_file(self, number: int, lines: list[bytes]) -> None:
        """Write the lines of a group that wait to its own scratch file."""
        self._files.append(number, lines)
        self._kinds[number] = _IN_FILE
        size = self._sizes[number] - self._written[number]
        self._early_flush.add(size)
        self._waiting_bytes -= size + len(lines) // 2 * LINE_OVERHEAD_BYTES
        self._written[number] = self._sizes[number]

    def _flush(self) -> None:
        """Write all lines that wait to scratch files."""
        logged = []
        for number, lines in sorted(self._waiting.items()):
            size = self._sizes[number] - self._written[number]
            kind = self._kinds[number]
            if kind == _IN_FILE or (kind == _NEW and size >= OWN_FILE_BYTES):
                self._write_file(number, lines)
            else:
                logged.append((number, lines))
                self._kinds[number] = _IN_LOG
        if logged:
            self._log.write_run(logged)
        self._waiting.clear()
        self._waiting_bytes = 0

    def close(self) -> None:
        self._flush()
        self._early_flush.finish()
        self.stop()
        names = list(self._numbers)
        in_files = [number for number, kind in enumerate(self._kinds) if kind == _IN_FILE]
        self._store_files(names, in_files)
        self._store_log(names)
        self.objects, self.size_bytes = len(names), sum(self._sizes)

    def _store_files(self, names: list[str], numbers: list[int]) -> None:
        for start in range(0, len(numbers), FILE_BATCH_SIZE):
            self._check()
            batch = numbers[start : start + FILE_BATCH_SIZE]
            self._storage.put_files([(names[number], self._files.path(number)) for number in batch])

    def _store_log(self, names: list[str]) -> None:
        objects, large = ObjectSink(self._storage, self._check), []
        try:
            for number, pieces in self._log.read_groups():
                if self._sizes[number] > OBJECT_BATCH_BYTES:
                    for piece in pieces:
                        self._files.append(number, [piece])
                    large.append(number)
                else:
                    objects.put(names[number], b"".join(pieces))
            objects.close()
        finally:
            objects.stop()
            self._files.close()
        self._store_files(names, large)

    def stop(self) -> None:
        self._early_flush.stop()
        self._files.close()
        self._log.close()


class _EarlyFlush:
    """Has the disk write scratch files while lines gather: in the end there is less to wait for."""

    def __init__(self, storage: Storage, scratch: Path) -> None:
        self._storage, self._scratch = storage, scratch
        self._thread = ThreadPoolExecutor(1, "early-flush")
        self._flushing: Future[None] | None = None
        self._bytes = 0  # written since the last flush began

    def add(self, size_bytes: int) -> None:
        """Note what was written. Raises StorageError when the last flush failed."""
        self._bytes += size_bytes
        if self._bytes >= EARLY_FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
            self.finish()
            self._flushing = self._thread.submit(self._storage.flush_near, self._scratch)
            self._bytes = 0

    def finish(self) -> None:
        """Wait for the flush that is under way. Raises StorageError when it failed."""
        if self._flushing is not None:
            self._flushing.result()
            self._flushing = None

    def stop(self) -> None:
        self._thread.shutdown()


class _GroupFiles:
    """A scratch file for each of some groups; a few are open at a time."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._open: OrderedDict[int, FileIO] = OrderedDict()

    def path(self, number: int) -> Path:
        return self._scratch / f"group-{number}"

    def append(self, number: int, pieces: list[bytes]) -> None:
        """Raises OSError where the scratch disk fails."""
        file = self._open.get(number)
        if file is None:
            if len(self._open) >= OPEN_FILES:  # the one unused for longest is closed
                self._open.popitem(last=False)[1].close()
            file = self._open[number] = FileIO(self.path(number), "ab")
        else:
            self._open.move_to_end(number)
        data = b"".join(pieces)
        if file.write(data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()
