"""S3, GCS and Azure through obstore; an object shows only when its upload is complete."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store, from_url

from receiver.errors import AlreadyStoredError, StorageError

PUTS_IN_FLIGHT = 128
FILES_IN_FLIGHT = 4  # each may hold PARTS_IN_FLIGHT parts in memory
CHUNK_BYTES = 256 * 1024
PART_BYTES = 8 * 1024 * 1024
PARTS_IN_FLIGHT = 2
T = TypeVar("T")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300]


class ObjectStorage:
    """Storage in a bucket."""

    def __init__(self, store: AzureStore | GCSStore | HTTPStore | LocalStore | MemoryStore | S3Store) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str) -> "ObjectStorage":
        """The bucket of a URL, with the credentials that its platform's environment gives."""
        try:
            return cls(from_url(url))
        except (BaseError, ValueError) as error:
            raise StorageError(f"STORAGE_URL can't be used: {_first_line(error)}", retryable=False) from error

    def _call(self, what: str, name: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except AlreadyExistsError as error:
            raise AlreadyStoredError(name) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            hint = "check the credentials and the bucket's policy"
            raise StorageError(f"the storage refused to {what} {name}: {_first_line(error)}: {hint}") from error
        except FileNotFoundError:
            raise
        except (BaseError, OSError, ValueError) as error:
            raise StorageError(f"the storage did not {what} {name}: {_first_line(error)}") from error

    async def _put_all(self, objects: Sequence[tuple[str, bytes | Path]], in_flight: int) -> None:
        gate = asyncio.Semaphore(in_flight)

        async def put(name: str, data: bytes | Path) -> None:
            async with gate:
                await obstore.put_async(self._store, name, data, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT)

        async with asyncio.TaskGroup() as tasks:
            for name, data in objects:
                tasks.create_task(put(name, data))

    def _put(self, objects: Sequence[tuple[str, bytes | Path]], in_flight: int) -> None:
        def put() -> None:
            try:
                asyncio.run(self._put_all(objects, in_flight))
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from group

        if objects:
            self._call("write", f"{objects[0][0]} and {len(objects) - 1} more", put)

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        self._put(objects, PUTS_IN_FLIGHT)

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None:
        self._put(objects, FILES_IN_FLIGHT)

    def create(self, name: str, data: bytes) -> None:
        self._call("create", name, lambda: obstore.put(self._store, name, data, mode="create", use_multipart=False))

    def read(self, name: str) -> bytes | None:
        try:
            return self._call("read", name, lambda: bytes(obstore.get(self._store, name).bytes()))
        except FileNotFoundError:
            return None

    def read_to_file(self, name: str, path: Path) -> bool:
        def copy() -> None:
            with path.open("wb") as file:
                for chunk in obstore.get(self._store, name).stream(min_chunk_size=PART_BYTES):
                    file.write(chunk)

        try:
            self._call("read", name, copy)
        except FileNotFoundError:
            return False
        return True

    def read_chunks(self, name: str) -> Iterator[bytes] | None:
        try:
            found = self._call("read", name, lambda: obstore.get(self._store, name))
        except FileNotFoundError:
            return None
        stream = found.stream(min_chunk_size=CHUNK_BYTES)
        return self._chunks_of(name, lambda: next(stream, None))

    def _chunks_of(self, name: str, read_next: Callable[[], bytes | None]) -> Iterator[bytes]:
        while (chunk := self._call("read", name, read_next)) is not None:
            yield bytes(chunk)

    def exists(self, name: str) -> bool:
        try:
            self._call("find", name, lambda: obstore.head(self._store, name))
        except FileNotFoundError:
            return False
        return True

    def list_names(self, folder: str) -> list[str]:
        def names() -> list[str]:
            return sorted(one["path"] for page in obstore.list(self._store, prefix=folder) for one in page)

        return self._call("list", folder, names)

    def delete(self, name: str) -> None:
        try:
            self._call("delete", name, lambda: obstore.delete(self._store, name))
        except FileNotFoundError:
            return

    def scratch_near(self) -> Path | None:
        return None
