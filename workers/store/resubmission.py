"""Which requests of a stored batch are worth sending again, as an input of their own."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from receiver.errors import SubmissionError
from receiver.outputs.judgement import find_again
from receiver.outputs.manifest import Manifest
from receiver.outputs.paths import retry_name
from receiver.storage import Storage
from workers.store.batch_input import read_key
from workers.store.records import read_index


def write_retries(storage: Storage, manifest: Manifest, target: Path, asked: Path | None) -> int:
    """Write the requests of a stored batch that are worth sending again. Returns their number.

    `asked` is the input of the batch where the storage does not have it: then the requests that no
    line of the results has are worth it, too. Raises SubmissionError where the requests themselves
    are not known.
    """
    result_key = manifest.result_key or ""
    if asked is None and find_again(manifest) == "keys":
        words = f"the storage does not hold the requests of {manifest.batch} themselves"
        raise SubmissionError(f"{words}: name their file with --input")
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        path = Path(folder) / "retry"
        has_rows = storage.read_to_file(retry_name(manifest.batch), path)
        if asked is None:
            return _copy_whole(path, target, manifest.batch) if has_rows else 0
        again = _read_keys(path, result_key) if has_rows else set[str]()
        rows = read_index(storage, manifest.batch, Path(folder)) if manifest.index else ()
        seen = {row.key for row in rows}
    return _select(asked, target, result_key, lambda key: key in again or key not in seen)


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


def _read_keys(path: Path, result_key: str) -> set[str]:
    """The keys of `_retry.jsonl`, in either of its two forms."""
    with path.open("rb") as rows:
        keys = (read_key(row, result_key) for row in rows)
        return {key for key in keys if key is not None}


def _copy_whole(path: Path, target: Path, batch: str) -> int:
    count = 0
    with path.open("rb") as rows, target.open("wb") as lines:
        for row in rows:
            request = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
            if "body" in request and "request" not in request:
                hint = "send its _retry.jsonl with the client that sent it"
                raise SubmissionError(f"{batch} was sent in OpenAI's form: {hint}")
            lines.write(row)
            count += 1
    return count


def _select(asked: Path, target: Path, result_key: str, is_wanted: Callable[[str], bool]) -> int:
    count = 0
    with asked.open("rb") as lines, target.open("wb") as chosen:
        for line in lines:
            key = read_key(line, result_key)
            if key is not None and is_wanted(key):
                chosen.write(line if line.endswith(b"\n") else line + b"\n")
                count += 1
    return count
