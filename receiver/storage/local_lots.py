"""Objects on their way into a folder: temporary files, flushed together, then renamed.

A name appears only on a whole file that is on the disk, so no manifest ever names less than that.
"""

import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from receiver.storage.errors import disk_error, name_together, translate_os_errors

TEMPORARY = ".tmp"  # no output's name begins with a dot
FLUSHING_THREADS = 8  # fsync waits for the disk; several waits overlap
FEW = 4  # files: to flush these must not wait for all that other programs have written
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# ext2 to ext4, XFS, Btrfs, F2FS and tmpfs, as fstatfs names them. Others, such as NFS, FUSE and
# overlays, may not pass syncfs on to where the bytes lie, or not say what could not be written.
FLUSHED_TOGETHER = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994})
REPORTING_LINUX = 5, 8  # before it, syncfs does not say what could not be written

T = TypeVar("T")


def find_syncfs(descriptor: int) -> Callable[[], bool] | None:
    """What flushes the file system of an open folder: False where a sandbox forbids it.

    It raises OSError for each write that fails from now on. None where that is not certain.
    """
    if sys.platform != "linux":
        return None
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if not release or (int(release[1]), int(release[2])) < REPORTING_LINUX:
        return None

    import ctypes  # noqa: PLC0415 - most commands write nothing

    libc = ctypes.CDLL(None, use_errno=True)
    about = (ctypes.c_long * 64)()  # a struct statfs, whose first member is the type
    if libc.fstatfs(descriptor, about) or about[0] not in FLUSHED_TOGETHER:
        return None

    def flush() -> bool:
        code = ctypes.get_errno() if libc.syncfs(descriptor) else 0
        if code not in {0, errno.ENOSYS, errno.EPERM}:
            raise OSError(code, os.strerror(code))
        return not code

    return flush


class OpenFolder:
    """The root of a local storage. Names are paths below it."""

    def __init__(self, root: Path) -> None:
        """Raises OSError."""
        self.root = root
        self.descriptor = os.open(root, os.O_RDONLY)
        self._syncfs = find_syncfs(self.descriptor)
        self._durable = set[str]()  # folders of the last lot: their own names are durable

    def __del__(self) -> None:
        with suppress(AttributeError):  # it could not be opened
            os.close(self.descriptor)

    def flush_together(self, count: int) -> bool:
        """Flush so many files; False if they must be flushed one by one. Raises OSError."""
        return count > FEW and self.flush_all()

    def flush_all(self) -> bool:
        """Flush all files of the file system; False where nothing does that. Raises OSError."""
        return self._syncfs is not None and self._syncfs()

    def flush(self, name: str) -> None:
        """Flush a file or a folder. Raises OSError."""
        file = os.open(name or ".", os.O_RDONLY, dir_fd=self.descriptor)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def flush_folders(self, folders: set[str]) -> None:
        """Make the names in these folders durable, and the folders' own.

        Another process may have made the folders a moment ago, and not flushed them yet.
        """
        above = {one for folder in folders - self._durable for one in _folders_above(folder)}
        with translate_os_errors("flush", name_together(sorted(folders))):
            are_flushed = self.flush_together(len(folders | above))
        if not are_flushed:
            for folder in folders | above:
                with translate_os_errors("flush", folder or str(self.root)):
                    self.flush(folder)
        self._durable = folders | above

    def write(self, name: str, data: bytes) -> None:
        """Make a file. Raises OSError."""
        file = os.open(name, NEW_FILE, 0o666, dir_fd=self.descriptor)
        try:
            written = os.write(file, data)
            while written < len(data):
                written += os.write(file, memoryview(data)[written:])
        finally:
            os.close(file)

    def is_near(self, folder: Path) -> bool:
        """Whether a rename from there may succeed. Raises OSError."""
        return folder.stat().st_dev == os.fstat(self.descriptor).st_dev

    def rename(self, path: str, name: str) -> None:
        """Give a file its name, in a folder that is made if need be. Raises OSError."""
        root = self.descriptor
        try:
            os.rename(path, name, src_dir_fd=root, dst_dir_fd=root)
        except FileNotFoundError:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, name, src_dir_fd=root, dst_dir_fd=root)


def _folders_above(folder: str) -> Iterator[str]:
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder


def _overlap(action: Callable[[T], None], items: Sequence[T]) -> None:
    """Do it with each item; where each waits for the disk, the waits overlap."""
    if len(items) <= FEW:  # to start threads for them takes longer than their waits
        for item in items:
            action(item)
    else:
        with ThreadPoolExecutor(FLUSHING_THREADS) as pool:
            for _ in pool.map(action, items):
                pass


class LocalLot:
    """Objects without names yet: `flush`, then `name`; `discard` what has no name by then."""

    def __init__(self, folder: OpenFolder) -> None:
        self._folder = folder
        self._prefix = f"{TEMPORARY}/{secrets.token_hex(8)}-"
        self._temporaries: list[str] = []  # ours
        self._unnamed: list[tuple[str, str]] = []  # a file and its object

    def add(self, name: str, data: bytes) -> None:
        """Write an object to a temporary file. Raises StorageError, as the others do."""
        path = f"{self._prefix}{len(self._temporaries)}"
        self._temporaries.append(path)
        self._unnamed.append((path, name))
        try:
            self._folder.write(path, data)
        except OSError as error:
            raise disk_error("write", name, error) from error

    def take(self, files: Sequence[tuple[str, Path]]) -> None:
        """Take files as they are where a rename may do, else copies."""
        near = dict[Path, bool]()
        for name, path in files:
            with translate_os_errors("write", name):
                if path.parent not in near:
                    near[path.parent] = self._folder.is_near(path.parent)
                source = os.fspath(path) if near[path.parent] else self._copy(path)
                self._unnamed.append((source, name))

    def _copy(self, path: Path) -> str:
        copy = f"{self._prefix}{len(self._temporaries)}"
        self._temporaries.append(copy)
        shutil.copyfile(path, self._folder.root / copy)
        return copy

    def flush(self) -> None:
        """Wait until all bytes are on the disk: other threads may run meanwhile."""
        with translate_os_errors("write", name_together([name for _, name in self._unnamed])):
            are_flushed = self._folder.flush_together(len(self._unnamed))
        if not are_flushed:
            _overlap(self._flush_one, self._unnamed)

    def _flush_one(self, file: tuple[str, str]) -> None:
        path, name = file
        with translate_os_errors("write", name):
            self._folder.flush(path)

    def name(self) -> None:
        """Give the objects their names; they are durable then."""
        rename, name = self._folder.rename, ""
        try:
            for path, name in self._unnamed:
                try:
                    rename(path, name)
                except OSError as error:
                    if error.errno != errno.EXDEV:  # two mounts, which may well be of one disk
                        raise
                    copy = self._copy(self._folder.root / path)
                    self._folder.flush(copy)
                    rename(copy, name)
        except OSError as error:
            raise disk_error("write", name, error) from error
        self._folder.flush_folders({name.rpartition("/")[0] for _, name in self._unnamed})
        self._temporaries, self._unnamed = [], []

    def discard(self) -> None:
        for path in self._temporaries:
            with suppress(OSError):
                os.unlink(path, dir_fd=self._folder.descriptor)
