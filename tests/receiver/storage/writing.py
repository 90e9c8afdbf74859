"""Writes of every kind into a local storage, for processes that a fault hits."""

import ctypes
from collections.abc import Callable
from pathlib import Path

from receiver.errors import AlreadyStoredError
from receiver.storage.local import LocalStorage

OLD = {"b/one": b"old" * 1000, "b/_old": b"stays"}
FEW = {"b/one": b"new", "b/deep/er/two": b"2" * 3000, "c/three": b""}
MANY = {f"b/{number % 3}/{number}": b"%d" % number * 500 for number in range(12)} | {
    "b/one": b"new"
}
UNAME26 = 0x0020000  # the kernel says that it is Linux 2.6
MANIFEST = {"d/_manifest.json": b"{}" * 1000}


def put_few(root: Path, _scratch: Path) -> None:
    LocalStorage(root).put_many(list(FEW.items()))


def put_many(root: Path, _scratch: Path) -> None:
    LocalStorage(root).put_many(list(MANY.items()))


def put_many_on_old_linux(root: Path, scratch: Path) -> None:
    """Each file is flushed by itself there."""
    ctypes.CDLL(None).personality(UNAME26)
    put_many(root, scratch)


def put_files(root: Path, scratch: Path) -> None:
    storage, files = LocalStorage(root), []
    for number, (name, data) in enumerate(FEW.items()):
        files.append((name, scratch / str(number)))
        files[-1][1].write_bytes(data)
    storage.put_files(files)


def create(root: Path, _scratch: Path) -> None:
    """As a job does, which takes an object that is there already for its own."""
    for name, data in MANIFEST.items():
        try:
            LocalStorage(root).create(name, data)
        except AlreadyStoredError:
            assert (root / name).read_bytes() == data


Write = Callable[[Path, Path], None]
WRITES: dict[str, tuple[Write, dict[str, bytes]]] = {
    "few": (put_few, FEW),
    "many": (put_many, MANY),
    "many, old Linux": (put_many_on_old_linux, MANY),
    "files": (put_files, FEW),
    "files of another disk": (put_files, FEW),
    "create": (create, MANIFEST),
}
