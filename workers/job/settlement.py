"""What becomes of a batch whose attempt ended in an error; `receiver.retry` decides by its kind."""

import logging
from collections.abc import Callable

from receiver.errors import (
    DoubtedError,
    GeminiError,
    LeaseLostError,
    ManifestError,
    NotReadyError,
    ReceiverError,
    ShuttingDownError,
    StorageError,
)
from receiver.inbox.entry_fields import Summary, summarise
from receiver.outputs.manifest import Manifest
from receiver.retry import OUTAGE_CAP_S, Next, Patience, jittered, plan_next, plan_wait_s
from workers.job.lease import LeaseKeeper

log = logging.getLogger(__name__)


def settle(
    keeper: LeaseKeeper,
    error: Exception,
    patience: Patience,
    find_stored: Callable[[], Manifest | None],
) -> None:
    """Hand the batch back for later, bury it or let it go.

    A batch that is stored, and can't be stored again, is not buried: `find_stored` reads its
    manifest. Raises LeaseLostError when somebody else has the batch.
    """
    match error:
        case NotReadyError():
            delay_s = jittered(plan_wait_s(keeper.lease.waits))
            keeper.postpone(delay_s, str(error), "waits")
            log.info("batch.not_ready", extra=_describe(error, delay_s))
        case DoubtedError():
            delay_s = jittered(error.delay_s)
            keeper.postpone(delay_s, str(error), "waits")
            log.warning("batch.doubted", extra=_describe(error, delay_s))
        case ShuttingDownError():
            keeper.release(str(error))
            log.info("batch.handed_back")
        case LeaseLostError():
            # Unless somebody took the batch over, Redis was away: that is no fault of the batch.
            keeper.release(str(error))
            log.warning("batch.lease_not_kept")
        case ReceiverError():
            _settle_error(keeper, error, patience, find_stored)
        case _:  # a fault of our own: an attempt is counted
            log.error("batch.crashed", exc_info=error)
            cause = f"unexpected {type(error).__name__}: {error}"
            _postpone(keeper, plan_next("batch", keeper.lease.past, patience), cause)


def _describe(error: Exception, delay_s: float) -> dict[str, object]:
    return {"cause": str(error), "delay_s": round(delay_s, 1)}


def _settle_error(
    keeper: LeaseKeeper,
    error: ReceiverError,
    patience: Patience,
    find_stored: Callable[[], Manifest | None],
) -> None:
    cause, past = str(error), keeper.lease.past
    after_s = error.retry_after_s if isinstance(error, GeminiError) else None
    plan = plan_next(error.fault, past, patience, retryable=error.retryable, retry_after_s=after_s)
    if plan.action == "postpone":
        _postpone(keeper, plan, cause)
        return

    if keeper.lease.again:
        try:
            stored = find_stored()
        except ManifestError:
            stored = None  # nobody can read what is stored: that needs a person
        except StorageError:
            _postpone(keeper, Next("postpone", "outages", OUTAGE_CAP_S), cause)
            return
        if stored is not None:
            keeper.keep(summarise(stored), cause)
            log.warning("batch.kept", extra={"cause": cause})
            return

    if plan.action == "expire":
        keeper.expire(Summary(expired=cause), cause)
        log.info("batch.expired", extra={"cause": cause})
    else:
        keeper.bury(cause, error.fault)
        log.error("batch.buried", extra={"cause": cause})


def _postpone(keeper: LeaseKeeper, plan: Next, cause: str) -> None:
    delay_s = jittered(plan.delay_s)
    if keeper.postpone(delay_s, cause, plan.counter) == "buried":
        log.error("batch.buried", extra={"cause": cause})
        return

    about = {"cause": cause, "delay_s": round(delay_s, 1)}
    if plan.counter == "attempts":
        log.warning("batch.postponed", extra=about)
    else:
        past = keeper.lease.past
        # Those that follow say the same.
        is_first = not (past.outages if plan.counter == "outages" else past.refusals)
        level = logging.WARNING if is_first else logging.INFO
        log.log(level, "batch.waits", extra=about | {"for": plan.counter})
