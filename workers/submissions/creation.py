"""Creates the batch of a part, or finds the one that an earlier call created."""

import logging
import time

from receiver.errors import GeminiError
from receiver.http import httpx
from receiver.submissions.daily_budget import day_of, part_reference
from receiver.submissions.decisions import CreatePart, FindBatch
from receiver.submissions.state import SubmissionState
from receiver.submissions.submitter import SentPart, Submitter
from workers.submissions.context import AdvanceContext

log = logging.getLogger(__name__)


def find_batch(context: AdvanceContext, state: SubmissionState, action: FindBatch) -> None:
    """Raises StepPendingError while nobody can say yet whether there is one."""
    part = state.parts[action.number - 1].part
    with context.scratch() as scratch:
        sent = _open_submitter(context, state).find(part, scratch)
    if sent is not None:
        _note(context, state, sent)


def create_part(context: AdvanceContext, state: SubmissionState, action: CreatePart) -> None:
    """Raises RefusedBatchError where Gemini refuses the batch for good; a 429 only takes room."""
    part, model, now = state.parts[action.number - 1].part, state.submission.spec.model, time.time()
    cap = context.project.limits.daily_cost_cap
    reference = part_reference(state.submission.id, part)
    if not context.budget.reserve(day_of(now), reference, part.most_cost, cap):
        return  # another submission was faster: the next look sees less room
    try:
        with context.scratch() as scratch:
            sent = _open_submitter(context, state).send(part, scratch)
    except GeminiError as error:
        if error.status == httpx.codes.TOO_MANY_REQUESTS:
            context.quotas.refused(model, now, error.retry_after_s)
            log.info("submission.refused_room", extra={"part": part.number, "cause": str(error)})
            return
        raise
    _note(context, state, sent)


def _open_submitter(context: AdvanceContext, state: SubmissionState) -> Submitter:
    return Submitter(context.gemini, context.storage, state.submission, context.check)


def _note(context: AdvanceContext, state: SubmissionState, sent: SentPart) -> None:
    context.quotas.sent(sent.batch, state.submission.spec.model, sent.part)
    about = {"part": sent.part.number, "batch": sent.batch, "status": sent.status}
    log.info("submission.part_sent", extra=about)
