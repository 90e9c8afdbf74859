"""A folder on this machine: temporary file, fsync, rename, so that what has its name is whole and durable."""

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

from receiver.errors import AlreadyStoredError, StorageError
from receiver.storage.case_probe import tells_case_apart
from receiver.storage.disk_errors import OF_A_NAME, READ_ONLY, explain

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


def _failure(what: str, name: str, error: OSError) -> StorageError:
    words = f"the storage did not {what} {name}: {explain(error)}; it is tried again by itself"
    return StorageError(words, fault="batch" if error.errno in OF_A_NAME else "outside")


def _chunks_of(file: IO[bytes], name: str) -> Iterator[bytes]:
    with file:
        try:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        except OSError as error:
            raise _failure("read", name, error) from error


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
    """Make the folders that are missing, and their names durable where we may read what they are in."""
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
        self._named = set[Path]()  # folders of the last write: their own names are durable
        try:
            _make_root(root)
            self._temporary.mkdir(exist_ok=True)
        except OSError as error:
            lasting = isinstance(error, FileExistsError | NotADirectoryError)
            raise StorageError(
                f"STORAGE_URL can't be used: {root}: {explain(error)}", retryable=not lasting
            ) from error

    @contextmanager
    def _temporary_file(self) -> Iterator[Path]:
        """The path of a file that is to be moved to its final name; what fails leaves nothing behind."""
        path = self._temporary / secrets.token_hex(12)
        try:
            yield path
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise

    def _put(self, item: tuple[str, bytes]) -> None:
        name, data = item
        try:
            with self._temporary_file() as path:
                _write(path, data)
                _move(path, self.root / name)
        except OSError as error:
            raise _failure("write", name, error) from error

    def _put_file(self, item: tuple[str, Path]) -> None:
        name, path = item
        target = self.root / name
        try:
            if self._is_near(path) and _moved(path, target):
                return
            with self._temporary_file() as copy:
                shutil.copyfile(path, copy)
                _flush(copy)
                _move(copy, target)
        except OSError as error:
            raise _failure("write", name, error) from error

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
        """Make the names in these folders durable, and their own: whoever made them may not have come to that yet."""
        new = folders - self._named
        above = {one for folder in new for one in folder.parents if one.is_relative_to(self.root)}
        for folder in folders | above:
            try:
                _sync_folder(folder)
            except OSError as error:
                raise _failure("flush", str(folder.relative_to(self.root)), error) from error
        self._named = folders | above

    def create(self, name: str, data: bytes) -> None:
        target = self.root / name
        try:
            with self._temporary_file() as path:
                _write(path, data)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(path)  # unlike a rename, a link never replaces
        except FileExistsError as error:
            self._sync_folders(
                {target.parent}
            )  # whoever wrote it may have died, or failed, before this
            raise AlreadyStoredError(name) from error
        except OSError as error:
            raise _failure("write", name, error) from error
        with suppress(OSError):  # a second name that is left harms nothing
            path.unlink()
        self._sync_folders({target.parent})

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure("read", name, error) from error

    def read_to_file(self, name: str, path: Path) -> bool:
        try:
            shutil.copyfile(self.root / name, path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _failure("read", name, error) from error
        return True

    def read_chunks(self, name: str) -> Iterator[bytes] | None:
        try:
            file = (self.root / name).open("rb", buffering=0)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure("read", name, error) from error
        return _chunks_of(file, name)

    def exists(self, name: str) -> bool:
        try:
            return (self.root / name).is_file()
        except OSError as error:
            raise _failure("look for", name, error) from error

    def list_names(self, folder: str) -> list[str]:
        return sorted(self.iter_names(folder))

    def iter_names(self, folder: str) -> Iterator[str]:
        start = len(os.path.join(self.root, ""))  # noqa: PTH118 - a Path drops the slash at its end
        waiting = [os.fspath(self.root / folder)]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        elif entry.is_file():
                            yield entry.path[start:]
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise _failure("list", folder, error) from error

    def delete(self, name: str) -> None:
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise _failure("delete", name, error) from error

    def tells_case_apart(self) -> bool:
        """Probe each time, since a folder may be moved; a no is remembered in the folder."""
        if self.exists(CASE_IGNORED):
            return False
        try:
            tells = tells_case_apart(self._temporary)
        except OSError as error:
            if error.errno in READ_ONLY:
                return False
            raise _failure("make", "two names that differ by case", error) from error
        if not tells:
            self.put_many([(CASE_IGNORED, CASE_IGNORED_TEXT)])
        return tells

    def scratch_near(self) -> Path | None:
        return self._temporary
