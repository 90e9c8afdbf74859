"""Batches that have not ended in time: tells of them, and cancels them."""

import logging
from dataclasses import replace

from receiver.errors import GeminiError, NotFoundError
from receiver.gemini.operations import Batch
from receiver.inbox.job_queue import JobQueue, accept_and_enqueue
from receiver.inbox.ledger import Arrival
from receiver.notices.running_batches import describe_running, tell_overdue
from receiver.submissions.decisions import AskForEnd, CancelBatch, TellOverdue
from receiver.submissions.state import PartState, SubmissionState
from workers.submissions.context import AdvanceContext

HOUR_S = 3600
log = logging.getLogger(__name__)


def tell_of_overdue(context: AdvanceContext, state: SubmissionState, action: TellOverdue) -> None:
    """Enqueue a notice, unless the batch has ended and nobody has heard of it."""
    one = state.parts[action.number - 1]
    batch = _look(context, one)
    if batch is not None:
        hours = max(1, int(state.policy.overdue_s // HOUR_S))
        running = describe_running(replace(batch, name=context.batch_in_inbox(batch.name)))
        tell_overdue(context.client, context.settings.notices.digests, [(running, hours)])
        log.warning("submission.batch_overdue", extra=_describe(one) | {"state": batch.state})
    context.records.write_mark(one.part, "overdue")


def ask_for_end(context: AdvanceContext, state: SubmissionState, action: AskForEnd) -> None:
    """Put a batch that has ended or is gone into the batches' ledger, which forgot it."""
    _look(context, state.parts[action.number - 1])


def cancel_batch(context: AdvanceContext, state: SubmissionState, action: CancelBatch) -> None:
    """Ask Gemini to cancel it; one that has ended by then is stored as it is."""
    one = state.parts[action.number - 1]
    if _look(context, one) is not None:
        try:
            context.gemini.cancel_batch(_name(one))
        except GeminiError as error:
            if error.retryable or not error.is_certain:
                raise
            log.info("submission.not_cancelled", extra=_describe(one) | {"cause": str(error)})
        else:
            log.warning("submission.batch_cancelled", extra=_describe(one))
    context.records.write_mark(one.part, "cancelled")


def _look(context: AdvanceContext, one: PartState) -> Batch | None:
    """A batch that still runs. One that has ended, or that Gemini does not know, goes into the
    batches' ledger: no webhook may have told of it.
    """
    try:
        batch = context.gemini.get_batch(_name(one))
    except NotFoundError:
        event = "batch.not_found"
    else:
        if not batch.is_terminal:
            return batch
        event = batch.event
    arrival = Arrival(context.batch_in_inbox(_name(one)), event, "reconcile")
    accept_and_enqueue(context.batches, JobQueue(context.client), [arrival])
    return None


def _name(one: PartState) -> str:
    assert one.batch is not None  # noqa: S101 - for the type checker: only a sent one is overdue
    return one.batch


def _describe(one: PartState) -> dict[str, object]:
    return {"part": one.part.number, "batch": one.batch}
