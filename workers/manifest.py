"""Fills in the manifest: the books of a batch beside what Gemini says of it."""

from dataclasses import dataclass, field
from importlib.metadata import version

from msgspec import UNSET

from receiver.gemini.client import Batch
from receiver.manifests import BatchError, Cost, FormsRecord, Manifest, Objects, Priced, Record, Source
from receiver.prices import Prices
from workers.account import Account
from workers.cost import price_batch
from workers.known_input import KnownInput

VERSION = version("gemini-batch-receiver")


@dataclass(frozen=True)
class Written:
    """What was stored of a batch: its outputs, and the records beside them."""

    objects: Objects = field(default_factory=Objects)
    index: Record | None = None
    retry: Record | None = None
    oversize: tuple[Record, ...] = ()
    unmatched: int | None = None  # outputs whose key KEY_PATTERN refused; None without a pattern
    forms: FormsRecord | None = None


def build_manifest(  # noqa: PLR0913, PLR0917 - all that is known of a batch
    batch: Batch,
    source: Source,
    account: Account,
    written: Written,
    template: str,
    known: KnownInput | None,
    prices: Prices,
    project: str = "",
) -> Manifest:
    """The manifest of a batch whose lines are all in `account`.

    Gemini's count of the requests holds; the input's stands in for it. Where they differ the books don't balance.
    """
    asked = known.about if known else None
    requests = asked.requests if asked and batch.requests is None else batch.requests
    balance = account.balance(requests, known.keys() if known else None)
    differs = asked is not None and asked.requests != requests
    cost = price_batch(prices, batch.model, batch.ended or batch.created, account.metered(), balance.missing)
    failed = batch.error_code is not None or batch.error_message is not None
    return Manifest(
        batch=batch.name,
        project=project or UNSET,
        state=batch.state,
        display_name=batch.display_name,
        model=batch.model,
        created=batch.created,
        ended=batch.ended,
        source=source,
        input=asked,
        requests=requests,
        outcomes=account.outcomes(),
        unmatched=UNSET if written.unmatched is None else written.unmatched,
        missing=balance.missing,
        missing_keys=balance.missing_keys or [],
        balanced=False if differs else balance.balanced,
        usage=account.usage(),
        cost=cost if isinstance(cost, Cost) else "unknown",
        priced=cost if isinstance(cost, Priced) else UNSET,
        objects=written.objects,
        index=written.index,
        retry=written.retry,
        oversize=list(written.oversize),
        forms=written.forms or UNSET,
        error=BatchError(batch.error_code, batch.error_message) if failed else None,
        template=template,
        version=VERSION,
    )
