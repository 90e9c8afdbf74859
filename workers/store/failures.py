"""The results of a stored batch that are no answer, and what each says of the reason."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from receiver.answers.index_rows import StoredRow
from receiver.answers.lookup import read_line
from receiver.answers.reasons import Reason, make_reason, parse_reason
from receiver.errors import StorageError
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import ANSWERED, ERROR_FILE
from receiver.outputs.paths import errors_name
from receiver.storage import Storage
from workers.results.parser import line_parser
from workers.store.records import read_index


def read_failures(
    storage: Storage, manifest: Manifest, scratch: Path
) -> Iterator[tuple[StoredRow, Reason | None]]:
    """Each failed result in the order of the source; `scratch` is a folder. Raises StorageError.

    The reason is None where it takes one more object to tell: `read_reason` reads that.
    """
    if manifest.index is None:
        return
    path, name = scratch / "errors", errors_name(manifest.batch)
    if not storage.read_to_file(name, path):
        raise StorageError(f"{name} is not there: see `verify`", retryable=False)
    with path.open("rb") as errors:
        for row in read_index(storage, manifest.batch, scratch):
            if row.outcome in ERROR_FILE:
                yield row, _next_reason(errors, row)
            elif row.outcome not in ANSWERED:
                yield row, None


def _next_reason(errors: IO[bytes], row: StoredRow) -> Reason:
    """What the next line of `_errors.jsonl` says; the index has its rows in the same order."""
    line = errors.readline().removesuffix(b"\n")
    if hashlib.sha256(line).hexdigest() != row.sha256:
        words = f"{row.object} has changed since it was written: see `verify`"
        raise StorageError(words, retryable=False)
    return parse_reason(line)


def read_reason(storage: Storage, manifest: Manifest, row: StoredRow) -> Reason:
    """What an output that is no answer says, such as its finish reason. Raises StorageError."""
    result = line_parser(manifest.result_key or "")(read_line(storage, row), valid_utf8=False)
    return make_reason(result.code, result.message)
