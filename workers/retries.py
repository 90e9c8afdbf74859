"""Which requests of a stored batch are worth sending again, as an input of their own."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from receiver.errors import SubmissionError
from receiver.judgement import find_again
from receiver.layout import manifest_name, retry_name
from receiver.manifests import Manifest, read_manifest
from receiver.storage import Storage
from workers.known_input import read_key
from workers.stored_index import read_index


def load_manifest(storage: Storage, batch_id: str) -> Manifest | None:
    """The manifest; None when the batch is not stored."""
    data = storage.read(manifest_name(batch_id))
    return None if data is None else read_manifest(data)


def write_retries(storage: Storage, manifest: Manifest, target: Path, asked: Path | None) -> int:
    """Write the requests of a stored batch that are worth sending again as an input. Gives how many they are.

    `asked` is the input of the batch where the storage does not know it: then those that no line of the results carries
    are worth it too. Raises SubmissionError where the requests themselves are not known.
    """
    batch_id = manifest.batch.removeprefix("batches/")
    if asked is None and find_again(manifest) == "keys":
        raise SubmissionError(
            f"the storage does not hold the requests of {manifest.batch} themselves: name their file with --input"
        )
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        path = Path(folder) / "retry"
        has_rows = storage.read_to_file(retry_name(batch_id), path)
        if asked is None:
            return _copy_whole(path, target) if has_rows else 0
        again = _read_keys(path) if has_rows else set[str]()
        came = {row.key for row in read_index(storage, batch_id, Path(folder))} if manifest.index else set()
    return _select(asked, target, lambda key: key in again or key not in came)


def _read_keys(path: Path) -> set[str]:
    """The keys of `_retry.jsonl`, whichever of its two forms it has."""
    with path.open("rb") as rows:
        return {key for key in map(read_key, rows) if key is not None}


def _copy_whole(path: Path, target: Path) -> int:
    count = 0
    with path.open("rb") as rows, target.open("wb") as lines:
        for row in rows:
            lines.write(row)
            count += 1
    return count


def _select(asked: Path, target: Path, is_wanted: Callable[[str], bool]) -> int:
    count = 0
    with asked.open("rb") as lines, target.open("wb") as chosen:
        for line in lines:
            key = read_key(line)
            if key is not None and is_wanted(key):
                chosen.write(line if line.endswith(b"\n") else line + b"\n")
                count += 1
    return count
