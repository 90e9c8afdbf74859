"""What all submissions but one part say of batches: which are theirs, and which calls may still turn out to be."""

from collections.abc import Iterator

from receiver.storage import Storage
from receiver.submissions.finding import Call, Claims
from receiver.submissions.parts import Part
from receiver.submissions.records import FOLDER, Submission, SubmissionRecords


def list_submissions(storage: Storage, wanted: str | None = None) -> Iterator[Submission]:
    """Every submission that the storage knows, in the order of their ids, or the one of an id."""
    ids = {name.split("/")[1] for name in storage.list_names(FOLDER) if name.endswith("/plan.json")}
    for submission_id in sorted(ids if wanted is None else ids & {wanted}):
        submission = SubmissionRecords(storage, submission_id).read_plan()
        if submission is not None:
            yield submission


def open_calls(records: SubmissionRecords, submission: Submission, part: Part) -> list[Call]:
    """The calls that may have made a part's batch: Gemini refused none of them."""
    model, tries = submission.order.model, records.tries(part)
    return [Call(one.creating, model, part.requests) for one in tries if not one.is_refused]


def read_claims(storage: Storage, submission_id: str, part: Part) -> Claims:
    """What all parts but this one claim. Raises StorageError."""
    named, calls = set[str](), list[Call]()
    for submission in list_submissions(storage):
        records = SubmissionRecords(storage, submission.id)
        for other in submission.parts:
            if (submission.id, other.number) == (submission_id, part.number):
                continue
            created = records.created(other)
            if created is not None:
                named.add(created.batch)
            else:
                calls += open_calls(records, submission, other)
    return Claims(frozenset(named), calls)
