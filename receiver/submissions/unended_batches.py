"""Batches of our submissions that may not have ended at Gemini, by the records in the storage."""

from collections import defaultdict

import msgspec

from receiver.outputs.paths import manifest_name
from receiver.storage import Storage
from receiver.submissions.records import FOLDER, SubmissionRecords
from receiver.submissions.submission import Part
from receiver.tolerant_json import tolerant_reader

KEPT_S = 3 * 86_400.0  # a batch that nobody has heard of for so long has expired at Gemini
FILE_TTL_S = 2 * 86_400.0  # how long Gemini keeps an uploaded file
_CREATED = ".created.json"


class EnqueuedBatch(msgspec.Struct, frozen=True):
    """What a batch takes of its project's quotas."""

    model: str  # without `models/`
    tokens: int  # of its requests, estimated
    file_bytes: int  # of its input
    at: float  # Unix time in seconds, when it was created
    is_ended: bool = False  # it takes no tokens any more; its file is still there

    def is_gone(self, now: float) -> bool:
        """Whether it takes nothing any more."""
        return now - self.at > (FILE_TTL_S if self.is_ended else KEPT_S)


_decode = tolerant_reader(EnqueuedBatch)


def created_name(submission_id: str, number: str) -> str:
    """The record that a part of this number has a batch."""
    return f"{FOLDER}/{submission_id}/{number}{_CREATED}"


def read_enqueued(data: bytes | None) -> EnqueuedBatch | None:
    """None for what is none, whoever wrote it."""
    try:
        return None if data is None else _decode(data)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return None


def find_unended(storage: Storage, project: str, now: float) -> dict[str, EnqueuedBatch]:
    """The batches of one project that were created and are not stored, by `batches/<id>`.

    Submissions that have finished are left out without a look, for there may be thousands. Raises
    StorageError, and SubmissionError for records that can't be read.
    """
    created, finished = defaultdict[str, set[int]](set), set[str]()
    for name in storage.iter_names(FOLDER):
        _, submission, *rest = name.split("/")
        record = rest[0] if len(rest) == 1 else ""
        if record == "manifest.json":
            finished.add(submission)
        elif (number := record.removesuffix(_CREATED)) != record and number.isdecimal():
            created[submission].add(int(number))
    found: dict[str, EnqueuedBatch] = {}
    for submission in created.keys() - finished:
        found |= _find_of(storage, submission, created[submission], project, now)
    return found


def _find_of(
    storage: Storage, submission_id: str, created: set[int], project: str, now: float
) -> dict[str, EnqueuedBatch]:
    records = SubmissionRecords(storage, submission_id)
    submission = records.read_plan()
    if submission is None or submission.spec.project != project:
        return {}
    of_rounds = [part for one in records.rounds() for part in one.parts]
    parts = [part for part in (*submission.parts, *of_rounds) if part.number in created]
    batches = [(part, records.created(part)) for part in parts]
    return {
        batch.batch: EnqueuedBatch(
            submission.spec.model.removeprefix("models/"),
            part.tokens or 0,
            part.size_bytes,
            _created_at(records, part, now),
        )
        for part, batch in batches
        if batch is not None and not storage.exists(manifest_name(batch.batch))
    }


def _created_at(records: SubmissionRecords, part: Part, now: float) -> float:
    attempts = records.attempts(part)
    return attempts[-1].intent.at if attempts else now
