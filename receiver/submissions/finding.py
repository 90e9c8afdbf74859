"""Decides which listed batch was made by a call that ended before it could say so.

A batch that bears the tag of such a call is its own. The version before wrote no tag: its batches are found by their
input file, or by their display name where nothing speaks against it. Where a doubt is left, nobody guesses: a wrong yes
leaves requests unsent, a wrong no pays for them twice.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from receiver.errors import SubmissionError
from receiver.gemini.operations import Batch, Unread
from receiver.submissions.records import Creating

CLOCKS_APART_S = (
    300.0  # how far our clock and Gemini's may differ where only the time tells two batches apart
)
CALL_S = 60.0  # a create takes no longer
LISTED_BACK_S = (
    86_400.0  # how far before a call the list is read: a wrong clock must not hide a batch
)
HINT = (
    "nothing was sent. Look with `batches show`; then run this again after a `batches delete` of what is not needed,"
    " or give another --display-name to send the requests as a new batch"
)


@dataclass(frozen=True)
class Call:
    """One create call that may have made a batch, and what it asked for."""

    creating: Creating
    model: str
    requests: int


@dataclass(frozen=True)
class Claims:
    """What the records of all other parts, of any submission, say."""

    named: frozenset[str] = frozenset()  # the batches that they became
    calls: Sequence[Call] = ()  # whose batch nobody knows yet


def find_batch(
    batches: Iterable[Batch], calls: Sequence[Call], read_claims: Callable[[], Claims]
) -> str | None:
    """The batch of one part among Gemini's (newest first), by the calls that may have made it; None without one.

    `read_claims` is asked only where a batch bears no tag. Raises SubmissionError where nobody can tell.
    """
    oldest = _moment(min(call.creating.at for call in calls) - LISTED_BACK_S)
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
                f"{batch.name} may be this one or that of another submission of this name: {HINT}"
            )
    return _only(unclaimed, calls)


def find_unread(unread: Iterable[Unread], calls: Sequence[Call]) -> str | None:
    """The batch that bears the tag of one of the calls, though Gemini describes it in a form that can't be read."""
    tags = {call.creating.tag for call in calls} - {None}
    names = [one.name for one in unread if one.tag in tags]
    if len(names) > 1:
        raise SubmissionError(f"{' and '.join(names)} may both be this one: {HINT}")
    return names[0] if names else None


def _since(batches: Iterable[Batch], oldest: str) -> Iterator[Batch]:
    for batch in batches:
        if batch.created is not None and batch.created < oldest:
            return
        yield batch


def _may_make(call: Call, batch: Batch) -> bool:
    """Whether what is listed could have come of this call."""
    creating = call.creating
    if batch.tag is not None:
        return batch.tag == creating.tag
    if creating.file is not None:
        return batch.input_file == creating.file
    is_untagged = creating.tag is None and batch.input_file is None
    return (
        is_untagged
        and batch.display_name == creating.display_name
        and _is_near(call, batch)
        and _fits(call, batch)
    )


def _is_near(call: Call, batch: Batch) -> bool:
    at, created = call.creating.at, batch.created
    return created is None or _moment(at - CLOCKS_APART_S) <= created <= _moment(
        at + CALL_S + CLOCKS_APART_S
    )


def _fits(call: Call, batch: Batch) -> bool:
    """Whether model and number of requests are what was asked for, as far as Gemini says."""
    asked, said = call.model.removeprefix("models/"), (batch.model or "").removeprefix("models/")
    is_model = said in ("", asked) or asked.endswith("-latest")  # such a name stands for another
    return is_model and batch.requests in (None, call.requests)


def _only(found: Sequence[Batch], calls: Sequence[Call]) -> str | None:
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


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
