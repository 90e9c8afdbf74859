"""What becomes of a batch whose attempt ended in an error: `receiver.retry` decides, and the inbox is told."""

import logging
from collections.abc import Callable

from receiver.errors import GeminiError, ManifestError, ReceiverError, StorageError
from receiver.inbox.entry_fields import Summary, summarise
from receiver.outputs.manifest import Manifest
from receiver.retry import OUTAGE_CAP_S, Next, Patience, jittered, plan_next
from workers.job.lease import LeaseKeeper

log = logging.getLogger(__name__)


def settle_error(
    keeper: LeaseKeeper,
    error: ReceiverError,
    patience: Patience,
    find_stored: Callable[[], Manifest | None],
) -> None:
    """Hand the batch back for later, give it up or let it go. Raises LeaseLostError when somebody else has it.

    A batch that is stored and can't be stored again is none to bury: `find_stored` is asked for its manifest.
    """
    retry_after_s = error.retry_after_s if isinstance(error, GeminiError) else None
    plan = plan_next(
        error.fault,
        keeper.lease.past,
        patience,
        retryable=error.retryable,
        retry_after_s=retry_after_s,
    )
    if plan.action != "postpone" and keeper.lease.again:
        try:
            stored = find_stored()
        except ManifestError:
            stored = None  # nobody can read what is stored: that needs a person
        except StorageError:
            _postpone(keeper, Next("postpone", "outages", OUTAGE_CAP_S), str(error))
            return
        if stored is not None:
            keeper.keep(summarise(stored), str(error))
            log.warning("batch.kept", extra={"cause": str(error)})
            return
    if plan.action == "expire":
        keeper.expire(Summary(expired=str(error)), str(error))
        log.info("batch.expired", extra={"cause": str(error)})
    elif plan.action == "bury":
        keeper.bury(str(error), error.fault)
        log.error("batch.buried", extra={"cause": str(error)})
    else:
        _postpone(keeper, plan, str(error))


def settle_crash(keeper: LeaseKeeper, error: Exception, patience: Patience) -> None:
    """What nobody foresaw is our own fault: an attempt is counted."""
    plan = plan_next("batch", keeper.lease.past, patience)
    _postpone(keeper, plan, f"unexpected {type(error).__name__}: {error}")


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
        is_first = not (
            past.outages if plan.counter == "outages" else past.refusals
        )  # what follows says the same
        log.log(
            logging.WARNING if is_first else logging.INFO,
            "batch.waits",
            extra=about | {"for": plan.counter},
        )
