"""`_retry.jsonl` of a stored batch: the requests that may succeed if they are sent again."""

from dataclasses import dataclass
from pathlib import Path

from receiver.answers.requests import read_key
from receiver.outputs.manifest import Manifest
from receiver.outputs.paths import retry_name
from receiver.storage import Storage


@dataclass(frozen=True)
class Retries:
    """The rows of `_retry.jsonl`: requests that may succeed if they are sent again."""

    count: int
    keys: list[str]  # of the first ones


def read_retries(storage: Storage, manifest: Manifest, scratch: Path, most: int) -> Retries:
    """How many there are, with `most` keys; `scratch` is a folder. Raises StorageError."""
    path, count, keys = scratch / "retry", 0, list[str]()
    if not storage.read_to_file(retry_name(manifest.batch), path):
        return Retries(0, [])
    with path.open("rb") as rows:
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last number is used
            if len(keys) < most and (key := read_key(row, manifest.result_key or "")) is not None:
                keys.append(key)
    return Retries(count, keys)
