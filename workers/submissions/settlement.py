"""What becomes of a submission after one job; `receiver.retry` decides by the kind of an error."""

import logging
import time

from receiver.errors import (
    GeminiError,
    LeaseLostError,
    ReceiverError,
    RefusedBatchError,
    ShuttingDownError,
    StepPendingError,
)
from receiver.retry import Patience, jittered, plan_next
from receiver.submissions.decisions import Wait
from workers.job.lease import LeaseKeeper

log = logging.getLogger(__name__)


def rest(keeper: LeaseKeeper, wait: Wait) -> None:
    """Hand the submission back until the wait is over, or an event comes."""
    delay_s = max(0.0, wait.until - time.time())
    keeper.rest(delay_s, wait.why)
    log.info("submission.waits", extra={"cause": wait.why, "delay_s": round(delay_s, 1)})


def settle(keeper: LeaseKeeper, error: Exception, patience: Patience) -> None:
    """Hand the submission back for later, or bury it for a person.

    Raises LeaseLostError when somebody else has it.
    """
    match error:
        case StepPendingError():
            keeper.look_again(error.delay_s, str(error))
            extra = {"cause": str(error), "delay_s": round(error.delay_s, 1)}
            log.info("submission.looks_again", extra=extra)
        case ShuttingDownError():
            keeper.release(str(error))
            log.info("submission.handed_back")
        case LeaseLostError():
            # Unless somebody took it over, Redis was away: that is no fault of the submission.
            keeper.release(str(error))
            log.warning("submission.lease_not_kept")
        case ReceiverError():
            _settle_error(keeper, error, patience)
        case _:  # a fault of our own: an attempt is counted
            log.error("submission.crashed", exc_info=error)
            crash = ReceiverError(f"unexpected {type(error).__name__}: {error}")
            crash.retryable = True
            _settle_error(keeper, crash, patience)


def _settle_error(keeper: LeaseKeeper, error: ReceiverError, patience: Patience) -> None:
    cause = str(error)
    after_s = error.retry_after_s if isinstance(error, GeminiError) else None
    plan = plan_next(
        error.fault,
        keeper.lease.past,
        patience,
        retryable=error.retryable or _may_pass(error),
        retry_after_s=after_s,
    )
    if plan.action == "postpone":
        delay_s = jittered(plan.delay_s)
        if keeper.postpone(delay_s, cause, plan.counter) == "open":
            extra = {"cause": cause, "delay_s": round(delay_s, 1), "for": plan.counter}
            log.warning("submission.postponed", extra=extra)
            return
    else:
        keeper.bury(cause, error.fault)
    log.error("submission.buried", extra={"cause": cause})


def _may_pass(error: ReceiverError) -> bool:
    """Whatever else Gemini says may be another thing the next time: a proxy may have said it."""
    return isinstance(error, GeminiError) and not isinstance(error, RefusedBatchError)
