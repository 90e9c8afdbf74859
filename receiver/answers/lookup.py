"""One result of a stored batch: its bytes, or why there is none."""

import codecs
import hashlib
import json

from receiver.answers.index_rows import StoredRow
from receiver.errors import StorageError
from receiver.outputs.manifest import Manifest
from receiver.outputs.wording import count_of
from receiver.storage import Storage


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
    piece = storage.read_range(row.object, row.offset, row.length)
    if piece is None:
        raise StorageError(f"{row.object} is not there, though the index names it", retryable=False)
    return piece


def describe_result(row: StoredRow, line: bytes) -> bytes:
    """The row of the index as JSON, with its line, which is JSON already, as `result`."""
    place = {name: getattr(row, name) for name in row.__struct_fields__}
    result = line.removeprefix(codecs.BOM_UTF8).strip()
    return json.dumps(place).encode()[:-1] + b', "result": ' + result + b"}"


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
