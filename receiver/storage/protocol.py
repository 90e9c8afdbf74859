"""What the rest of the program needs of a storage."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol


class Lot(Protocol):
    """Objects that go together: `add` them, `flush`, then `name`. These can raise StorageError."""

    def add(self, name: str, data: bytes) -> None:
        """Take a whole object, which may replace what was there."""

    def flush(self) -> None:
        """Returns when the bytes are durable. It may run in another thread."""

    def name(self) -> None:
        """Returns when the objects are durable under their names."""

    def discard(self) -> None:
        """Give up what has no name yet."""


class Storage(Protocol):
    """Objects that are whole or not there. Every call can raise StorageError."""

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Write whole objects, replacing what was there; returns when all are durable."""

    def start_lot(self) -> Lot:
        """The same in steps, so that the next objects are made while these become durable."""

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None:
        """Write whole objects from local files, which may be moved; returns when durable."""

    def create(self, name: str, data: bytes) -> None:
        """Write a whole object that must not be there yet; AlreadyStoredError when it is."""

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None when it is not there."""

    def read_to_file(self, name: str, path: Path) -> bool:
        """Copy an object into a local file; False when it is not there."""

    def read_chunks(self, name: str) -> Iterator[bytes] | None:
        """An object's bytes in pieces of bounded size; None when it is not there."""

    def read_range(self, name: str, offset: int, length: int) -> bytes | None:
        """These bytes of an object, fewer where it ends before; None when it is not there."""

    def size_of(self, name: str) -> int | None:
        """Bytes of an object; None when it is not there."""

    def sign(self, name: str, seconds: int) -> str | None:
        """An address under which anybody can read an object for so long.

        None where there is no such thing. Whether the object is there is not looked at.
        """

    def exists(self, name: str) -> bool:
        """Whether the object is there."""

    def list_names(self, folder: str) -> list[str]:
        """Names of all objects below a folder, sorted."""

    def iter_names(self, folder: str) -> Iterator[str]:
        """The same names in any order, in bounded memory."""

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""

    def tells_case_apart(self) -> bool:
        """Whether `Key` and `key` name two objects; False too where nobody can find out."""

    def scratch_near(self) -> Path | None:
        """A local folder from which `put_files` is a rename; None where it has to upload."""

    def flush_near(self, folder: Path) -> None:
        """Flush the files in a local folder now, if `put_files` would otherwise wait for that.

        It may run in another thread. An error is told once: what was written may be lost.
        """
