"""Fills in the manifest: the books of a batch beside what Gemini says of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version

from msgspec import UNSET

from receiver.gemini.operations import Batch
from receiver.outputs.manifest import (
    BatchError,
    Cost,
    FormsRecord,
    Manifest,
    Objects,
    Priced,
    Record,
    Source,
    encode_manifest,
)
from receiver.outputs.outcomes import Outcome
from receiver.outputs.paths import Template, manifest_name, signature_name
from receiver.outputs.prices import Prices
from receiver.outputs.proof_keys import ProofKey
from receiver.storage import Storage
from workers.results.cost import price_batch
from workers.results.result_counts import ResultCounts
from workers.results.rules import RULES
from workers.store.batch_input import BatchInput

VERSION = version("gemini-batch-receiver")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """What was stored of a batch: its outputs, and the records beside them."""

    objects: Objects = field(default_factory=Objects)
    index: Record | None = None
    retry: Record | None = None
    oversize: tuple[Record, ...] = ()
    unmatched: int | None = None  # outputs whose key KEY_PATTERN refused; None without a pattern
    forms: FormsRecord | None = None


def _holds_results(account: ResultCounts, source: Source) -> bool:
    """Whether any line could be read; of a doubted source, any that answers a request by its key."""
    outcomes = account.outcomes()
    unread = outcomes[Outcome.MALFORMED] + (
        outcomes[Outcome.UNKEYED] if source.doubted is not UNSET else 0
    )
    return sum(outcomes.values()) > unread


def commit_manifest(
    storage: Storage, manifest: Manifest, key: ProofKey | None, replaced: bytes | None
) -> None:
    """Commit a batch; `replaced` is the manifest that somebody asked to replace. Raises AlreadyStoredError.

    Its signature goes first and has the content in its name: no crash leaves a committed manifest without it, and two
    workers whose manifests differ don't replace each other's.
    """
    name, data = manifest_name(manifest.batch), encode_manifest(manifest)
    if key is not None:
        storage.put_many(
            [(signature_name(manifest.batch, sha256(data).hexdigest()), key.sign(data))]
        )
    if replaced is None:
        storage.create(name, data)
    elif replaced != data:
        storage.put_many([(name, data)])
        log.warning("batch.replaced")


def build_manifest(  # noqa: PLR0913, PLR0917 - all that is known of a batch
    batch: Batch,
    source: Source,
    account: ResultCounts,
    written: Written,
    template: Template,
    known: BatchInput | None,
    prices: Prices,
    project: str = "",
    metadata: Mapping[str, object] | None = None,
    result_key: str = "",
) -> Manifest:
    """The manifest of a batch whose lines are all in `account`; `metadata` is what the names were made with.

    Gemini's count of the requests holds; the input's stands in for it. Where they differ the books don't balance, nor
    do they where requests were made and not one line of the source could be read.
    """
    asked = known.about if known else None
    requests = asked.requests if asked and batch.requests is None else batch.requests
    balance = account.balance(requests, known.keys() if known else None)
    differs = asked is not None and asked.requests != requests
    is_off = differs or (
        bool(requests) and source.kind != "none" and not _holds_results(account, source)
    )
    cost = price_batch(
        prices, batch.model, batch.ended or batch.created, account.metered(), balance.missing
    )
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
        balanced=False if is_off else balance.balanced,
        usage=account.usage(),
        cost=cost if isinstance(cost, Cost) else "unknown",
        priced=cost if isinstance(cost, Priced) else UNSET,
        objects=written.objects,
        index=written.index,
        retry=written.retry,
        oversize=list(written.oversize),
        forms=written.forms or UNSET,
        error=BatchError(batch.error_code, batch.error_message) if failed else None,
        template=template.text,
        capitals=template.capitals,
        key_pattern=UNSET if template.pattern is None else template.pattern.pattern,
        meta=template.meta_values(metadata) or UNSET,
        rules=RULES,
        result_key=result_key or UNSET,
        version=VERSION,
    )
