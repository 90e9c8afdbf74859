"""S3, GCS and Azure through obstore; an object shows only when its upload is complete."""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import (
    AzureStore,
    GCSStore,
    HTTPStore,
    LocalStore,
    MemoryStore,
    S3Store,
    from_url,
)

from receiver.errors import AlreadyStoredError, StorageError
from receiver.storage.client_options import client_options
from receiver.storage.errors import (
    OTHER,
    Platform,
    bucket_error,
    is_missing_bucket,
    name_together,
    platform_of,
    unusable_error,
)
from receiver.storage.uploads import Pace, Uploads

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, RetryConfig

PUTS_IN_FLIGHT = 256
FILES_IN_FLIGHT = 1  # holds PARTS_IN_FLIGHT parts in memory, some of them twice
SMALL_FILE_BYTES = 64 * 1024  # as many of these as of other small objects go together
CHUNK_BYTES = 256 * 1024
PART_BYTES = 5 * 1024 * 1024  # S3 takes no smaller ones, and 10,000 of them
PARTS_IN_FLIGHT = 2
PATIENCE_S = 60.0  # from the first failure to the last try; then the job is tried again, later
RETRIES = 8
PUT_RETRIES = 2
BACKOFF: "BackoffConfig" = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=5),
    "base": 2,
}
Store = AzureStore | GCSStore | HTTPStore | LocalStore | MemoryStore | S3Store
T = TypeVar("T")


def _retries(most: int, patience_s: float) -> "RetryConfig":
    """What obstore does by itself after a 429, a 5xx or a reset.

    Its requests end after 30 s, connecting after 5.
    """
    return {"max_retries": most, "retry_timeout": timedelta(seconds=patience_s), "backoff": BACKOFF}


class UploadLot:
    """Objects that have their names as soon as they are durable."""

    def __init__(self, storage: "ObjectStorage") -> None:
        self._storage = storage
        self._objects: list[tuple[str, bytes]] = []

    def add(self, name: str, data: bytes) -> None:
        self._objects.append((name, data))

    def flush(self) -> None:
        self._storage.put_many(self._objects)

    def name(self) -> None:
        """They have them."""

    def discard(self) -> None:
        """A put that failed has left nothing."""


class ObjectStorage:
    """Storage in a bucket."""

    def __init__(
        self,
        store: Store,
        platform: Platform = OTHER,
        puts: Store | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`puts` is the same bucket for small objects: we retry those, fewer at a time."""
        self._store, self._puts = store, puts or store
        self._platform, self._patience_s = platform, patience_s
        self._pace, self._file_pace = Pace(PUTS_IN_FLIGHT), Pace(FILES_IN_FLIGHT)

    @classmethod
    def open(cls, url: str, patience_s: float = PATIENCE_S) -> "ObjectStorage":
        """The bucket of a URL, with the credentials that its platform's environment gives."""
        platform = platform_of(url)
        try:
            options = client_options(platform, os.environ)
            store = from_url(
                url, retry_config=_retries(RETRIES, patience_s), client_options=options
            )
            puts = from_url(
                url, retry_config=_retries(PUT_RETRIES, patience_s), client_options=options
            )
            return cls(store, platform, puts, patience_s)
        except (BaseError, ValueError) as error:
            raise unusable_error(error, platform) from error

    def _call(self, what: str, name: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except AlreadyExistsError as error:
            raise AlreadyStoredError(name) from error
        except (BaseError, OSError, ValueError) as error:
            raise bucket_error(what, name, error, self._platform) from error

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

    def _put(self, objects: Sequence[tuple[str, bytes | Path]], pace: Pace, what: str) -> None:
        if objects:
            uploads = Uploads(self._send, pace, self._patience_s)
            self._call("write", what, lambda: uploads.run(objects))

    async def _send(self, name: str, data: bytes | Path) -> None:
        store = self._puts if isinstance(data, bytes) else self._store
        await obstore.put_async(
            store, name, data, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT
        )

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        self._put(objects, self._pace, name_together([name for name, _ in objects]))

    def start_lot(self) -> UploadLot:
        return UploadLot(self)

    def put_files(self, objects: Sequence[tuple[str, Path]]) -> None:
        small = [
            each
            for each in objects
            if each[1].is_file() and each[1].stat().st_size <= SMALL_FILE_BYTES
        ]
        what = name_together([name for name, _ in objects])
        self._put(small, self._pace, what)
        self._put([each for each in objects if each not in small], self._file_pace, what)

    def create(self, name: str, data: bytes) -> None:
        self._call(
            "create",
            name,
            lambda: obstore.put(self._store, name, data, mode="create", use_multipart=False),
        )

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

    def read_range(self, name: str, offset: int, length: int) -> bytes | None:
        if not length:
            return b"" if self.exists(name) else None
        try:
            found = self._find(
                "read",
                name,
                lambda: obstore.get_range(self._store, name, start=offset, length=length),
            )
        except StorageError:
            size = self.size_of(name)
            if size is not None and size <= offset:
                return b""  # which is an error to every bucket
            raise
        return None if found is None else bytes(found)

    def size_of(self, name: str) -> int | None:
        found = self._find("find", name, lambda: obstore.head(self._store, name))
        if found is None:
            self._require_bucket(name)
            return None
        return found["size"]

    def sign(self, name: str, seconds: int) -> str | None:
        if not isinstance(self._store, AzureStore | GCSStore | S3Store):
            return None
        try:
            return obstore.sign(self._store, "GET", name, timedelta(seconds=seconds))
        except (BaseError, OSError, ValueError):
            return None  # these credentials can read, and sign nothing

    def exists(self, name: str) -> bool:
        if self._find("find", name, lambda: obstore.head(self._store, name)) is not None:
            return True
        return self._require_bucket(name)

    def _require_bucket(self, name: str) -> bool:
        """Whether the object is there after all: no answer to HEAD says that its bucket is not."""
        return self.read_chunks(name) is not None

    def list_names(self, folder: str) -> list[str]:
        return sorted(self.iter_names(folder))

    def iter_names(self, folder: str) -> Iterator[str]:
        pages = self._call("list", folder, lambda: iter(obstore.list(self._store, prefix=folder)))
        while (page := self._call("list", folder, lambda: next(pages, None))) is not None:
            yield from (one["path"] for one in page)

    def delete(self, name: str) -> None:
        self._find("delete", name, lambda: obstore.delete(self._store, name))

    def tells_case_apart(self) -> bool:
        return True  # S3, GCS and Azure all compare names byte by byte

    def scratch_near(self) -> Path | None:
        return None

    def flush_near(self, folder: Path) -> None: ...
