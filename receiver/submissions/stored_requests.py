"""The requests of a submission in the storage, so that nobody needs the user's file again."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from receiver.outputs.paths import input_name
from receiver.storage import Storage
from receiver.submissions.batch_links import read_origin
from receiver.submissions.part_copy import PartCopy
from receiver.submissions.records import SubmissionRecords, requests_name
from receiver.submissions.submission import Submission


def store_requests(
    storage: Storage,
    source: Path,
    submission: Submission,
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Store the requests of each part by their hash, unless they are there.

    `on_progress` gets the size of each part in bytes. Raises StorageError, and SubmissionError
    where the input has changed since it was checked.
    """
    with tempfile.TemporaryDirectory(prefix="gbr-", dir=storage.scratch_near()) as folder:
        for part in submission.parts:
            name = requests_name(part.sha256)
            if not storage.exists(name):
                copy = PartCopy.copy(source, part, Path(folder) / "requests.jsonl.gz")
                storage.put_files([(name, copy.path)])
            on_progress(part.size_bytes)


def places_of_requests(storage: Storage, batch: str) -> Iterator[str]:
    """The objects that may hold the requests of a batch: beside its outputs, else by their hash.

    Raises StorageError and SubmissionError.
    """
    yield input_name(batch)
    origin = read_origin(storage, batch)
    parts = [] if origin is None else SubmissionRecords(storage, origin.submission).parts()
    for part in parts:
        if origin and part.number == origin.part and part.sha256:
            yield requests_name(part.sha256)
