"""A storage in memory. Each object that is written is an effect of its own."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from receiver.errors import AlreadyStoredError, StorageError
from tests.simulation.effects import Effects

T = TypeVar("T")
PIECE_BYTES = 4096
ERRORS = {
    "failed": lambda: StorageError("simulated: the storage is away", fault="outside"),
    "unsure": lambda: StorageError("simulated: the storage gave no answer", fault="outside"),
}


class SimulatedStorage:
    """Implements `receiver.storage.Storage`."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self.objects: dict[str, bytes] = {}
        self.on_write: Callable[[str], None] = lambda _: None

    def run(self, what: str, name: str, perform: Callable[[], T]) -> T:
        return self._effects.run("storage", f"{what} {name}", perform, ERRORS)

    def _set(self, name: str, data: bytes) -> None:
        self.objects[name] = data
        self.on_write(name)

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        for name, data in objects:
            self.run("put", name, partial(self._set, name, data))

    def start_lot(self) -> "SimulatedLot":
        return SimulatedLot(self)

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None:
        self.put_many([(name, path.read_bytes()) for name, path in objects])

    def create(self, name: str, data: bytes) -> None:
        def perform() -> None:
            if name in self.objects:
                raise AlreadyStoredError(name)
            self._set(name, data)

        self.run("create", name, perform)

    def read(self, name: str) -> bytes | None:
        return self.run("read", name, lambda: self.objects.get(name))

    def read_to_file(self, name: str, path: Path) -> bool:
        data = self.read(name)
        if data is not None:
            path.write_bytes(data)
        return data is not None

    def read_chunks(self, name: str) -> Iterator[bytes] | None:
        data = self.read(name)
        if data is None:
            return None
        return iter([data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)])

    def read_range(self, name: str, offset: int, length: int) -> bytes | None:
        data = self.read(name)
        return None if data is None else data[offset : offset + length]

    def size_of(self, name: str) -> int | None:
        data = self.read(name)
        return None if data is None else len(data)

    def sign(self, name: str, seconds: int) -> None: ...

    def exists(self, name: str) -> bool:
        return self.run("look for", name, lambda: name in self.objects)

    def list_names(self, folder: str) -> list[str]:
        return sorted(self.iter_names(folder))

    def iter_names(self, folder: str) -> Iterator[str]:
        start = f"{folder}/" if folder else ""
        found = [name for name in self.objects if name.startswith(start)]
        return iter(self.run("list", folder, lambda: found))

    def delete(self, name: str) -> None:
        self.run("delete", name, lambda: self.objects.pop(name, None))

    def tells_case_apart(self) -> bool:
        return True

    def scratch_near(self) -> Path | None:
        return None

    def flush_near(self, folder: Path) -> None: ...


class SimulatedLot:
    """Implements `receiver.storage.protocol.Lot`: what is flushed has no name yet."""

    def __init__(self, storage: SimulatedStorage) -> None:
        self._storage = storage
        self._objects: list[tuple[str, bytes]] = []

    def add(self, name: str, data: bytes) -> None:
        self._objects.append((name, data))

    def flush(self) -> None:
        self._storage.run("flush", f"{len(self._objects)} objects", lambda: None)

    def name(self) -> None:
        self._storage.put_many(self._objects)

    def discard(self) -> None:
        self._objects.clear()


class _Holder:
    storage: SimulatedStorage


_holder = _Holder()


def begin(storage: SimulatedStorage) -> None:
    """From now on every process opens this one."""
    _holder.storage = storage


def open_simulated(_url: str) -> SimulatedStorage:
    """In place of `receiver.storage.open_storage`."""
    return _holder.storage
