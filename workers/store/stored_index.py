"""Reads the index of a stored batch, a row at a time."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from receiver.errors import StorageError
from receiver.outputs.paths import index_name
from receiver.storage import Storage
from workers.store.index_rows import StoredRow, read_row


def read_rows(path: Path) -> Iterator[StoredRow]:
    """The rows of an index that was copied to a file."""
    with gzip.open(path, "rb") as lines:
        for line in lines:
            yield read_row(line)


def read_index(storage: Storage, batch_id: str, scratch: Path) -> Iterator[StoredRow]:
    """Every row, in the order of the source; `scratch` is a folder. Raises StorageError when it can't be read whole."""
    name, path = index_name(batch_id), scratch / "index"
    if not storage.read_to_file(name, path):
        raise StorageError(f"{name} is not there: is the batch stored?", retryable=False)
    try:
        yield from read_rows(path)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError) as error:
        hint = f"`gemini-batch-receiver verify {batch_id}` names what is off"
        raise StorageError(f"{name} can't be read: {error}; {hint}", retryable=False) from error
