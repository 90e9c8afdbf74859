"""Records in a batch's own folder: which submission sent it, and what sent its requests again."""

from collections.abc import Iterator

import msgspec

from receiver.batch_names import SUBMISSION_ID
from receiver.outputs.paths import batch_folder
from receiver.storage import Storage
from receiver.submissions.records import SubmissionRecords, read_record
from receiver.submissions.submission import SubmissionSpec


class BatchOrigin(msgspec.Struct, frozen=True):
    """The content of `_submission.json` in a batch's own folder."""

    submission: str  # its id
    part: int
    parts: int
    retry_of: str | None  # "batches/<id>"


def origin_name(batch: str) -> str:
    """The object that names the submission which created a batch."""
    return f"{batch_folder(batch)}/_submission.json"


def resubmitted_name(batch: str) -> str:
    """The object that names the batches which a batch's failed requests were sent again in."""
    return f"{batch_folder(batch)}/_resubmitted.json"


def read_links(storage: Storage, batch: str) -> list[str]:
    """The ids of the submissions that a batch's failed requests were sent again by.

    Earlier versions named batches (`batches/<id>`) instead.
    """
    name = resubmitted_name(batch)
    data = storage.read(name)
    return [] if data is None else read_record(data, list[str], name)


def read_resubmitted(storage: Storage, batch: str) -> list[str]:
    """The batches (`batches/<id>`) which a batch's failed requests were sent again in, by now."""
    return [
        found
        for row in read_links(storage, batch)
        for found in (_created_by(storage, row) if SUBMISSION_ID.fullmatch(row) else [row])
    ]


def link_resubmission(storage: Storage, batch: str, submission_id: str) -> None:
    """Note that a batch's failed requests are sent again by this submission."""
    rows = read_links(storage, batch)
    if submission_id not in rows:
        data = msgspec.json.encode([*rows, submission_id])
        storage.put_many([(resubmitted_name(batch), data)])


def _created_by(storage: Storage, submission_id: str) -> Iterator[str]:
    records = SubmissionRecords(storage, submission_id)
    for part in records.parts():
        created = records.created(part)
        if created is not None:
            yield created.batch


def read_origin(storage: Storage, batch: str) -> BatchOrigin | None:
    """The submission that created a batch; None for a batch of another program."""
    name = origin_name(batch)
    data = storage.read(name)
    return None if data is None else read_record(data, BatchOrigin, name)


def read_spec(storage: Storage, batch: str) -> SubmissionSpec | None:
    """What the user asked for when a batch was submitted; None for a batch of another program."""
    origin = read_origin(storage, batch)
    plan = SubmissionRecords(storage, origin.submission).read_plan() if origin else None
    return plan.spec if plan else None
