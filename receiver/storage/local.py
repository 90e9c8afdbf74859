"""A folder on this machine. What has its name is whole and durable: write, fsync, rename."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit

from receiver.errors import AlreadyStoredError, Fault, StorageError
from receiver.storage.errors import AGAIN, NAME_ERRNOS, READ_ONLY_ERRNOS, explain_os_error

TEMPORARY = ".tmp"  # no output's name begins with a dot
CASE_IGNORED = "_case_ignored.txt"  # what one machine found holds for all that share the folder
CASE_IGNORED_TEXT = b"This folder takes Key and key for one name: names here encode capitals.\n"
CHUNK_BYTES = 256 * 1024
FLUSHING_THREADS = 8  # fsync waits for the disk; several waits overlap
FEW = 4  # objects: to start threads for them takes longer than their waits
T = TypeVar("T")


def local_root(url: str) -> Path:
    """The folder of a `file:` URL; a relative path counts from where the process runs."""
    return Path(unquote(urlsplit(url).path)).absolute()


@contextmanager
def _translate_os_errors(action: str, name: str) -> Iterator[None]:
    """Raise OSError as StorageError: "the storage did not <action> <name>: …"."""
    try:
        yield
    except OSError as error:
        what = f"the storage did not {action} {name}"
        fault: Fault = "batch" if error.errno in NAME_ERRNOS else "outside"
        raise StorageError(f"{what}: {explain_os_error(error)}; {AGAIN}", fault=fault) from error


def _chunks_of(file: IO[bytes], name: str) -> Iterator[bytes]:
    with file, _translate_os_errors("read", name):
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _move(path: Path, target: Path) -> None:
    try:
        path.replace(target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _moved(path: Path, target: Path) -> bool:
    """Flush and move a file. False between two mounts, which may well be of one disk."""
    _flush(path)
    try:
        _move(path, target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    return True


def _make_root(root: Path) -> None:
    """Make the missing folders, and their names durable where we may read their parents."""
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        with suppress(PermissionError):
            _sync_folder(folder.parent)


class LocalStorage:
    """Storage in a local folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / TEMPORARY
        self._durable = set[Path]()  # folders of the last write: their own names are durable
        try:
            _make_root(root)
            self._temporary.mkdir(exist_ok=True)
        except OSError as error:
            lasting = isinstance(error, FileExistsError | NotADirectoryError)
            raise StorageError(
                f"STORAGE_URL can't be used: {root}: {explain_os_error(error)}",
                retryable=not lasting,
            ) from error

    @contextmanager
    def _temporary_file(self) -> Iterator[Path]:
        """The path of a file to be moved to its final name; a failure leaves nothing behind."""
        path = self._temporary / secrets.token_hex(12)
        try:
            yield path
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise

    def _put(self, item: tuple[str, bytes]) -> None:
        name, data = item
        with _translate_os_errors("write", name), self._temporary_file() as path:
            _write(path, data)
            _move(path, self.root / name)

    def _put_file(self, item: tuple[str, Path]) -> None:
        name, path = item
        target = self.root / name
        with _translate_os_errors("write", name):
            if self._is_near(path) and _moved(path, target):
                return
            with self._temporary_file() as copy:
                shutil.copyfile(path, copy)
                _flush(copy)
                _move(copy, target)

    def _is_near(self, path: Path) -> bool:
        """Whether a rename into the storage may succeed."""
        return path.parent.stat().st_dev == self.root.stat().st_dev

    def _put_all(
        self, put: Callable[[tuple[str, T]], None], objects: Sequence[tuple[str, T]]
    ) -> None:
        if len(objects) <= FEW:
            for one in objects:
                put(one)
        else:
            with ThreadPoolExecutor(FLUSHING_THREADS) as pool:
                for _ in pool.map(put, objects):
                    pass
        self._sync_folders({(self.root / name).parent for name, _ in objects})

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        self._put_all(self._put, objects)

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None:
        self._put_all(self._put_file, objects)

    def _sync_folders(self, folders: set[Path]) -> None:
        """Make the names in these folders durable, and the folders' own.

        Another process may have made the folders a moment ago, and not synced them yet.
        """
        new = folders - self._durable
        above = {one for folder in new for one in folder.parents if one.is_relative_to(self.root)}
        for folder in folders | above:
            with _translate_os_errors("flush", str(folder.relative_to(self.root))):
                _sync_folder(folder)
        self._durable = folders | above

    def create(self, name: str, data: bytes) -> None:
        target = self.root / name
        try:
            with _translate_os_errors("write", name), self._temporary_file() as path:
                _write(path, data)
                target.parent.mkdir(parents=True, exist_ok=True)
                self._link(path, target, name)
        except AlreadyStoredError:
            self._sync_folders({target.parent})  # whoever wrote it may have died before this
            raise
        with suppress(OSError):  # a second name that is left harms nothing
            path.unlink()
        self._sync_folders({target.parent})

    @staticmethod
    def _link(path: Path, target: Path, name: str) -> None:
        """Unlike a rename, a link never replaces. Raises AlreadyStoredError."""
        try:
            target.hardlink_to(path)
        except FileExistsError as error:
            raise AlreadyStoredError(name) from error

    def read(self, name: str) -> bytes | None:
        with _translate_os_errors("read", name), suppress(FileNotFoundError):
            return (self.root / name).read_bytes()
        return None

    def read_to_file(self, name: str, path: Path) -> bool:
        with _translate_os_errors("read", name), suppress(FileNotFoundError):
            shutil.copyfile(self.root / name, path)
            return True
        return False

    def read_chunks(self, name: str) -> Iterator[bytes] | None:
        with _translate_os_errors("read", name), suppress(FileNotFoundError):
            return _chunks_of((self.root / name).open("rb", buffering=0), name)
        return None

    def exists(self, name: str) -> bool:
        with _translate_os_errors("look for", name):
            return (self.root / name).is_file()

    def list_names(self, folder: str) -> list[str]:
        return sorted(self.iter_names(folder))

    def iter_names(self, folder: str) -> Iterator[str]:
        start = len(os.path.join(self.root, ""))  # noqa: PTH118 - a Path drops the slash at its end
        waiting = [os.fspath(self.root / folder)]
        while waiting:
            with (
                _translate_os_errors("list", folder),
                suppress(FileNotFoundError, NotADirectoryError),
                os.scandir(waiting.pop()) as entries,
            ):
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file():
                        yield entry.path[start:]

    def delete(self, name: str) -> None:
        with _translate_os_errors("delete", name):
            (self.root / name).unlink(missing_ok=True)

    def tells_case_apart(self) -> bool:
        """Probe each time, since a folder may be moved; a no is remembered in the folder."""
        if self.exists(CASE_IGNORED):
            return False
        with _translate_os_errors("make", "two names that differ by case"):
            try:
                tells = tells_case_apart(self._temporary)
            except OSError as error:
                if error.errno not in READ_ONLY_ERRNOS:
                    raise
                return False
        if not tells:
            self.put_many([(CASE_IGNORED, CASE_IGNORED_TEXT)])
        return tells

    def scratch_near(self) -> Path | None:
        return self._temporary


def tells_case_apart(folder: Path) -> bool:
    """Make two such names in `folder`, which holds temporary files. Raises OSError.

    What a killed process leaves goes with the folder's other temporary files.
    """
    token = secrets.token_hex(8)
    lower, upper = folder / f"case-{token}-name", folder / f"case-{token}-NAME"
    lower.touch(exist_ok=False)
    try:
        upper.touch(exist_ok=False)
    except FileExistsError:
        return False
    else:
        return not upper.samefile(lower)
    finally:
        # Not a TemporaryDirectory: emptying a folder takes a file descriptor; there may be none.
        upper.unlink(missing_ok=True)
        lower.unlink(missing_ok=True)
