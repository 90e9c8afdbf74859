"""Finds the batch of a create call that crashed before it recorded the batch's name.

The tag in a batch's display name identifies its call. Earlier versions wrote no tag: their batches
are found by their input file, or else by their display name if nothing contradicts. In doubt it
raises an error instead of guessing: a wrong match leaves requests unsent, and a missed one pays for
them twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from receiver.errors import SubmissionError
from receiver.gemini.operations import Batch, Unread
from receiver.retry import format_rfc3339
from receiver.storage import Storage
from receiver.submissions.records import CreateIntent, SubmissionRecords, list_submissions
from receiver.submissions.submission import Part, Submission

MAX_SKEW_S = 300.0  # between our clock and Gemini's, where only the time tells two batches apart
CALL_S = 60.0  # a create call takes no longer
LOOK_BACK_S = 86_400.0  # before a call, so that a wrong clock does not hide its batch
HINT = (
    "nothing was sent. Look with `batches show`; then run this again after a `batches delete` of"
    " what is not needed, or give another --display-name to send the requests as a new batch"
)


@dataclass(frozen=True)
class CreateCall:
    """A create call that may have created a batch, and what it asked for."""

    intent: CreateIntent
    model: str
    requests: int


@dataclass(frozen=True)
class Claims:
    """Batches that belong to other parts, of any submission."""

    named: frozenset[str] = frozenset()  # known to be theirs
    calls: Sequence[CreateCall] = ()  # calls whose batch is not known yet


def find_batch(
    batches: Iterable[Batch], calls: Sequence[CreateCall], read_claims: Callable[[], Claims]
) -> str | None:
    """The name of the batch that one of a part's calls created; None if there is none.

    `batches` is Gemini's list, newest first. `read_claims` is only called for batches without a
    tag. Raises SubmissionError where it can't be told.
    """
    oldest = format_rfc3339(min(call.intent.at for call in calls) - LOOK_BACK_S)
    made = [
        batch for batch in _since(batches, oldest) if any(_may_make(call, batch) for call in calls)
    ]
    tagged = [batch for batch in made if batch.tag is not None]
    if not made or tagged:
        return _only(tagged, calls)
    claims = read_claims()
    unclaimed = [batch for batch in made if batch.name not in claims.named]
    for batch in unclaimed:
        if any(_may_make(rival, batch) for rival in claims.calls):
            raise SubmissionError(
                f"{batch.name} may belong to this submission or to another one of this name: {HINT}"
            )
    return _only(unclaimed, calls)


def find_unread(unread: Iterable[Unread], calls: Sequence[CreateCall]) -> str | None:
    """Like `find_batch`, by tag, among batches whose description can't be read."""
    tags = {call.intent.tag for call in calls} - {None}
    names = [one.name for one in unread if one.tag in tags]
    if len(names) > 1:
        raise SubmissionError(f"{' and '.join(names)} may both be this one: {HINT}")
    return names[0] if names else None


def _since(batches: Iterable[Batch], oldest: str) -> Iterator[Batch]:
    for batch in batches:
        if batch.created is not None and batch.created < oldest:
            return
        yield batch


def _may_make(call: CreateCall, batch: Batch) -> bool:
    """Whether this call could have created that batch."""
    intent = call.intent
    if batch.tag is not None:
        return batch.tag == intent.tag
    if intent.file is not None:
        return batch.input_file == intent.file
    is_untagged = intent.tag is None and batch.input_file is None
    return (
        is_untagged
        and batch.display_name == intent.display_name
        and _is_near(call, batch)
        and _fits(call, batch)
    )


def _is_near(call: CreateCall, batch: Batch) -> bool:
    at, created = call.intent.at, batch.created
    first, last = format_rfc3339(at - MAX_SKEW_S), format_rfc3339(at + CALL_S + MAX_SKEW_S)
    return created is None or first <= created <= last


def _fits(call: CreateCall, batch: Batch) -> bool:
    """Whether model and number of requests match, as far as Gemini says."""
    asked, said = call.model.removeprefix("models/"), (batch.model or "").removeprefix("models/")
    is_model = said in ("", asked) or asked.endswith("-latest")  # an alias of another model
    return is_model and batch.requests in (None, call.requests)


def _only(found: Sequence[Batch], calls: Sequence[CreateCall]) -> str | None:
    if not found:
        return None
    if len(found) > 1:
        raise SubmissionError(
            f"{' and '.join(batch.name for batch in found)} may both be this one: {HINT}"
        )
    (batch,) = found
    if not any(_fits(call, batch) for call in calls):
        has, asked = (
            f"{batch.requests} requests to {batch.model}",
            f"{calls[0].requests} to {calls[0].model}",
        )
        raise SubmissionError(
            f"{batch.name} seems to be this one, but has {has}, not {asked}: {HINT}"
        )
    return batch.name


def open_calls(records: SubmissionRecords, submission: Submission, part: Part) -> list[CreateCall]:
    """The calls that may have created a part's batch: those that Gemini did not refuse."""
    model, tries = submission.spec.model, records.attempts(part)
    return [CreateCall(one.intent, model, part.requests) for one in tries if one.may_have_created]


def read_claims(storage: Storage, submission_id: str, part: Part) -> Claims:
    """What the records of all parts but this one say. Raises StorageError."""
    named, calls = set[str](), list[CreateCall]()
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
