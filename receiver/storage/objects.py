"""S3, GCS and Azure through obstore; an object shows only when its upload is complete."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store, from_url

from receiver.errors import AlreadyStoredError
from receiver.storage.troubles import OTHER, Platform, is_missing_bucket, platform_of, trouble, unusable

PUTS_IN_FLIGHT = 128
FILES_IN_FLIGHT = 4  # each may hold PARTS_IN_FLIGHT parts in memory
CHUNK_BYTES = 256 * 1024
PART_BYTES = 8 * 1024 * 1024
PARTS_IN_FLIGHT = 2
T = TypeVar("T")


class ObjectStorage:
    """Storage in a bucket."""

    def __init__(
        self,
        store: AzureStore | GCSStore | HTTPStore | LocalStore | MemoryStore | S3Store,
        platform: Platform = OTHER,
    ) -> None:
        self._store = store
        self._platform = platform

    @classmethod
    def open(cls, url: str) -> "ObjectStorage":
        """The bucket of a URL, with the credentials that its platform's environment gives."""
        platform = platform_of(url)
        try:
            return cls(from_url(url), platform)
        except (BaseError, ValueError) as error:
            raise unusable(error, platform) from error

    def _call(self, what: str, name: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except AlreadyExistsError as error:
            raise AlreadyStoredError(name) from error
        except (BaseError, OSError, ValueError) as error:
            raise trouble(what, name, error, self._platform) from error

    def _find(self, what: str, name: str, action: Callable[[], T]) -> T | None:
        """What the action finds; None when the object is not there."""

        def found() -> T | None:
            try:
                return action()
            except FileNotFoundError as error:
                if is_missing_bucket(error):
                    raise
                return None

        return self._call(what, name, found)

    async def _put_all(self, objects: Sequence[tuple[str, bytes | Path]], in_flight: int) -> None:
        """Puts in flight go on after a failure: a cancelled one would leave its parts in the bucket for ever."""
        gate = asyncio.Semaphore(in_flight)
        failures: list[Exception] = []

        async def put(name: str, data: bytes | Path) -> None:
            async with gate:
                if failures:
                    return
                try:
                    await obstore.put_async(
                        self._store, name, data, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT
                    )
                except Exception as error:  # noqa: BLE001 - raised below, whatever it is
                    failures.append(error)

        async with asyncio.TaskGroup() as tasks:
            for name, data in objects:
                tasks.create_task(put(name, data))
        if failures:
            raise failures[0]

    def _put(self, objects: Sequence[tuple[str, bytes | Path]], in_flight: int) -> None:
        if objects:
            what = f"{objects[0][0]} and {len(objects) - 1} more"
            self._call("write", what, lambda: asyncio.run(self._put_all(objects, in_flight)))

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        self._put(objects, PUTS_IN_FLIGHT)

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None:
        self._put(objects, FILES_IN_FLIGHT)

    def create(self, name: str, data: bytes) -> None:
        self._call("create", name, lambda: obstore.put(self._store, name, data, mode="create", use_multipart=False))

    def read(self, name: str) -> bytes | None:
        return self._find("read", name, lambda: bytes(obstore.get(self._store, name).bytes()))

    def read_to_file(self, name: str, path: Path) -> bool:
        def copy() -> bool:
            found = obstore.get(self._store, name)
            with path.open("wb") as file:
                for chunk in found.stream(min_chunk_size=PART_BYTES):
                    file.write(chunk)
            return True

        return self._find("read", name, copy) is not None

    def read_chunks(self, name: str) -> Iterator[bytes] | None:
        found = self._find("read", name, lambda: obstore.get(self._store, name))
        if found is None:
            return None
        stream = found.stream(min_chunk_size=CHUNK_BYTES)
        return self._chunks_of(name, lambda: next(stream, None))

    def _chunks_of(self, name: str, read_next: Callable[[], bytes | None]) -> Iterator[bytes]:
        while (chunk := self._call("read", name, read_next)) is not None:
            yield bytes(chunk)

    def exists(self, name: str) -> bool:
        if self._find("find", name, lambda: obstore.head(self._store, name)) is not None:
            return True
        return self.read_chunks(name) is not None  # an answer to HEAD can't say that the bucket itself is missing

    def list_names(self, folder: str) -> list[str]:
        def names() -> list[str]:
            return sorted(one["path"] for page in obstore.list(self._store, prefix=folder) for one in page)

        return self._call("list", folder, names)

    def delete(self, name: str) -> None:
        self._find("delete", name, lambda: obstore.delete(self._store, name))

    def scratch_near(self) -> Path | None:
        return None
