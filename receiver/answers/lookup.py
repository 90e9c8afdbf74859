"""Finds one result among those of a stored batch, by its key."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from receiver.errors import StorageError
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import ERROR_FILE, Outcome
from receiver.outputs.wording import count_of
from receiver.storage import Storage
from workers.store.index_rows import StoredRow
from workers.store.records import read_index


def find_row(storage: Storage, batch_id: str, key: str, scratch: Path) -> StoredRow | None:
    """The row of the index for a key: of its answer, else of the line that best says why not.

    None when no line has the key. `scratch` is a folder. Raises StorageError.
    """
    best: StoredRow | None = None
    for row in read_index(storage, batch_id, scratch):
        if row.key != key:
            continue
        if row.outcome not in ERROR_FILE:
            return row
        if best is None or _rank(row) > _rank(best):
            best = row
    return best


def _rank(row: StoredRow) -> int:
    return ERROR_FILE.index(Outcome(row.outcome))


def read_line(storage: Storage, row: StoredRow) -> bytes:
    """The bytes that a row names, without the newline.

    Raises StorageError unless they are the bytes that were written.
    """
    line = _read_piece(storage, row)
    if hashlib.sha256(line).hexdigest() != row.sha256:
        raise StorageError(
            f"{row.object} has changed since it was written: see `verify`", retryable=False
        )
    return line


def _read_piece(storage: Storage, row: StoredRow) -> bytes:
    chunks = storage.read_chunks(row.object)
    if chunks is None:
        raise StorageError(f"{row.object} is not there, though the index names it", retryable=False)
    return b"".join(_cut(chunks, row.offset, row.length))


def _cut(chunks: Iterable[bytes], offset: int, length: int) -> Iterator[bytes]:
    """`length` bytes from an offset on; nothing is read after them."""
    left, skip = length, offset
    for chunk in chunks:
        part = chunk[skip : skip + left]
        skip = max(0, skip - len(chunk))
        left -= len(part)
        yield part
        if not left:
            return


def explain_absence(manifest: Manifest, key: str) -> str:
    """Why no result has this key, as far as the manifest says it."""
    if key in manifest.missing_keys:
        hint = f"`resubmit {manifest.batch}` sends it again"
        return f"it was asked for, and Gemini sent no result: {hint}"
    if manifest.input is not None:
        return f"none of the {manifest.input.requests:,} requests had it"
    reasons = []
    if manifest.missing:
        words = f"{count_of(manifest.missing, 'request has', 'requests have')} no result"
        reasons.append(f"{words}, and without the input nobody knows their keys")
    if unkeyed := manifest.outcomes.get("unkeyed"):
        reasons.append(f"{count_of(unkeyed, 'result', 'results')} came without a key")
    return (
        "; ".join(reasons)
        or f"the batch has {sum(manifest.outcomes.values()):,} results, under other keys"
    )
