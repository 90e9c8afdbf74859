"""A folder on this machine. What has its name is whole and durable: write, fsync, rename."""

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from receiver.errors import AlreadyStoredError, StorageError
from receiver.storage.errors import explain_os_error, translate_os_errors
from receiver.storage.local_lots import TEMPORARY, LocalLot, OpenFolder

CASE_IGNORED = "_case_ignored.txt"  # what one machine found holds for all that share the folder
CASE_IGNORED_TEXT = b"This folder takes Key and key for one name: names here encode capitals.\n"
CHUNK_BYTES = 256 * 1024
SHOWN_CHARACTERS = 200  # of a name that can't be one


def can_be_name(name: str) -> bool:
    """Whether it stays below the root, and is what a file can be called."""
    try:
        is_file_name = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return is_file_name and not name.startswith("/") and ".." not in name.split("/")


def local_root(url: str) -> Path:
    """The folder of a `file:` URL; a relative path counts from where the process runs."""
    return Path(unquote(urlsplit(url).path)).absolute()


def _chunks_of(file: IO[bytes], name: str) -> Iterator[bytes]:
    with file, translate_os_errors("read", name):
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def sync_folder(folder: Path) -> None:
    """Make the names in it durable. Raises OSError."""
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


def _make_root(root: Path) -> None:
    """Make the missing folders, and their names durable where we may read their parents."""
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        with suppress(PermissionError):
            sync_folder(folder.parent)


class LocalStorage:
    """Storage in a local folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / TEMPORARY
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

    @cached_property
    def _folder(self) -> OpenFolder:
        with translate_os_errors("open", str(self.root)):
            return OpenFolder(self.root)

    def start_lot(self) -> LocalLot:
        return LocalLot(self._folder)

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        with self._stored_lot() as lot:
            for name, data in objects:
                lot.add(name, data)

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None:
        with self._stored_lot() as lot:
            lot.take(objects)

    @contextmanager
    def _stored_lot(self) -> Iterator[LocalLot]:
        """Its objects are durable in the end; a failure leaves no temporary file behind."""
        lot = self.start_lot()
        try:
            yield lot
            lot.flush()
            lot.name()
        except BaseException:
            lot.discard()
            raise

    def _locate(self, name: str) -> Path:
        """Where an object lies. An index or a manifest may name anything.

        Raises StorageError for what lies elsewhere, and for what no file can be called.
        """
        if not can_be_name(name):
            text = f"{name[:SHOWN_CHARACTERS]!a} can't be the name of an object"
            raise StorageError(text, retryable=False, fault="batch")
        return self.root / name

    def create(self, name: str, data: bytes) -> None:
        target, folder = self._locate(name), name.rpartition("/")[0]
        try:
            with translate_os_errors("write", name), self._temporary_file() as path:
                _write(path, data)
                target.parent.mkdir(parents=True, exist_ok=True)
                self._link(path, target, name)
        except AlreadyStoredError:
            self._folder.flush_folders({folder})  # whoever wrote it may have died before this
            raise
        with suppress(OSError):  # a second name that is left harms nothing
            path.unlink()
        self._folder.flush_folders({folder})

    @staticmethod
    def _link(path: Path, target: Path, name: str) -> None:
        """Unlike a rename, a link never replaces. Raises AlreadyStoredError."""
        try:
            target.hardlink_to(path)
        except FileExistsError as error:
            raise AlreadyStoredError(name) from error

    def read(self, name: str) -> bytes | None:
        with translate_os_errors("read", name), suppress(FileNotFoundError):
            return self._locate(name).read_bytes()
        return None

    def read_to_file(self, name: str, path: Path) -> bool:
        with translate_os_errors("read", name), suppress(FileNotFoundError):
            shutil.copyfile(self._locate(name), path)
            return True
        return False

    def read_chunks(self, name: str) -> Iterator[bytes] | None:
        with translate_os_errors("read", name), suppress(FileNotFoundError):
            return _chunks_of(self._locate(name).open("rb", buffering=0), name)
        return None

    def read_range(self, name: str, offset: int, length: int) -> bytes | None:
        with (
            translate_os_errors("read", name),
            suppress(FileNotFoundError),
            self._locate(name).open("rb") as file,
        ):
            file.seek(offset)
            return file.read(length)
        return None

    def size_of(self, name: str) -> int | None:
        with translate_os_errors("look for", name), suppress(FileNotFoundError):
            return self._locate(name).stat().st_size
        return None

    def sign(self, name: str, seconds: int) -> None:
        """A folder has no addresses."""

    def exists(self, name: str) -> bool:
        with translate_os_errors("look for", name):
            return self._locate(name).is_file()

    def list_names(self, folder: str) -> list[str]:
        return sorted(self.iter_names(folder))

    def iter_names(self, folder: str) -> Iterator[str]:
        start = len(os.path.join(self.root, ""))  # noqa: PTH118 - a Path drops the slash at its end
        waiting = [os.fspath(self._locate(folder))]
        while waiting:
            with (
                translate_os_errors("list", folder),
                suppress(FileNotFoundError, NotADirectoryError),
                os.scandir(waiting.pop()) as entries,
            ):
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file():
                        yield entry.path[start:]

    def delete(self, name: str) -> None:
        with translate_os_errors("delete", name):
            self._locate(name).unlink(missing_ok=True)

    def tells_case_apart(self) -> bool:
        """Probe each time, since a folder may be moved; a no is remembered in the folder."""
        if self.exists(CASE_IGNORED):
            return False
        with translate_os_errors("make", "two names that differ by case"):
            tells = tells_case_apart(self._temporary)
        if not tells:
            self.put_many([(CASE_IGNORED, CASE_IGNORED_TEXT)])
        return tells

    def scratch_near(self) -> Path | None:
        self._folder  # noqa: B018 - opened now, it notices what fails of files that are written there
        return self._temporary

    def flush_near(self, folder: Path) -> None:
        with translate_os_errors("write", str(folder)):
            if self._folder.is_near(folder):
                self._folder.flush_all()


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
