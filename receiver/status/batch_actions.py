"""What can be done with one batch, and how far it is that its failed requests are sent again."""

from dataclasses import dataclass, field
from typing import Any

import redis

from receiver.batch_names import BatchName
from receiver.inbox.foreign import read_or
from receiver.inbox.paused import fetch_paused
from receiver.inbox.redis import DUE, now_ms, translate_redis_errors
from receiver.status.backend import Backend
from receiver.status.batch_details import BatchDetails
from receiver.status.offers import Offer, offer_again, offer_for_batch
from receiver.status.view_models import BatchRow
from receiver.submissions.again import SentAgain, Wish, read_sent_again, read_wish


@dataclass(frozen=True)
class BatchActions:
    """What the page shows of them."""

    offers: list[Offer]
    wish: Wish | None = None
    is_under_way: bool = False  # the wish
    sent: SentAgain = field(default_factory=lambda: SentAgain([]))
    paused_s: int | None = None  # how long its project has been paused; None where it is not


async def read_batch_actions(
    backend: Backend, name: str, row: BatchRow | None, details: BatchDetails | None
) -> BatchActions:
    """For a batch by its name in the inbox. Raises InboxUnavailableError."""
    standing = await backend.ask(lambda client: _read_standing(client, name))
    manifest = details.manifest if details else None
    is_stored = None if details is None else manifest is not None or bool(details.problem)
    offers = list(offer_for_batch(name, row, is_stored=is_stored, is_due=standing.is_due))
    if manifest is None:
        return BatchActions(offers, paused_s=standing.paused_s)

    sent, _problem = await backend.ask_storage(lambda storage: read_sent_again(storage, name))
    wish = standing.wish
    again = offer_again(name, manifest, sent, wish, standing.now_ms) if sent else None
    return BatchActions(
        [*([again] if again else []), *offers],
        wish,
        wish is not None and wish.is_under_way(standing.now_ms),
        sent or SentAgain([]),
        standing.paused_s,
    )


@dataclass(frozen=True)
class _Standing:
    now_ms: int
    is_due: bool
    wish: Wish | None
    paused_s: int | None


@translate_redis_errors()
def _read_standing(client: "redis.Redis", name: str) -> _Standing:
    moment = now_ms(client)
    due: Any = read_or(None, lambda: client.zscore(DUE, name))
    since_ms = fetch_paused(client).get(BatchName.read(name).project)
    return _Standing(
        moment,
        due is not None and float(due) <= moment,
        read_wish(client, name),
        None if since_ms is None else max(0, moment - since_ms) // 1000,
    )
