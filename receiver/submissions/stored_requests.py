"""The requests of a submission in the storage, so that nobody needs the user's file again."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from receiver.storage import Storage
from receiver.submissions.part_copy import PartCopy
from receiver.submissions.records import requests_name
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
