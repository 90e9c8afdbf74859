"""Carries out the actions of a submission until all that is left is to wait, or nothing."""

import logging
import time

from receiver.errors import SubmissionError
from receiver.submissions.decisions import (
    Action,
    AskForEnd,
    CancelBatch,
    CreatePart,
    FindBatch,
    Finish,
    PlanRound,
    SendFlexPart,
    TellOverdue,
    Wait,
    plan_next,
)
from receiver.submissions.loading import StateLoader
from receiver.submissions.state import SubmissionState
from workers.submissions.context import AdvanceContext
from workers.submissions.creation import create_part, find_batch
from workers.submissions.finishing import finish
from workers.submissions.flex import send_flex_part
from workers.submissions.overdue import ask_for_end, cancel_batch, tell_of_overdue
from workers.submissions.rounds import plan_round
from workers.submissions.spending import settle_spending

log = logging.getLogger(__name__)


def go_on(context: AdvanceContext, loader: StateLoader) -> tuple[SubmissionState, Wait | None]:
    """Do all that can be done now. Gives where it stands, and what it waits for.

    It waits for None once it has finished.

    Raises GeminiError, StorageError, InboxUnavailableError, SubmissionError, of which a
    StepPendingError says when to go on, and what `context.check` raises.
    """
    before: tuple[SubmissionState, list[Action]] | None = None
    while True:
        context.check()
        now = time.time()
        model = loader.submission.spec.model
        state = loader.load(context.quotas.room(model, context.name.id, now), now)
        actions = plan_next(state, now)
        is_end = not actions or isinstance(actions[-1], Finish)
        settle_spending(context, state, now, is_end=is_end)
        if not actions:
            return state, None
        if before == (state, actions) and not isinstance(actions[-1], Wait):
            raise SubmissionError(f"{actions} changed nothing: please report this")
        before = state, actions

        for action in actions:
            if isinstance(action, Wait):
                return state, action
            context.check()
            _carry_out(context, state, action)


def _carry_out(context: AdvanceContext, state: SubmissionState, action: Action) -> None:
    match action:
        case FindBatch():
            find_batch(context, state, action)
        case CreatePart():
            create_part(context, state, action)
        case SendFlexPart():
            send_flex_part(context, state, action)
        case TellOverdue():
            tell_of_overdue(context, state, action)
        case AskForEnd():
            ask_for_end(context, state, action)
        case CancelBatch():
            cancel_batch(context, state, action)
        case PlanRound():
            plan_round(context, state, action)
        case Finish():
            finish(context, state, action)
