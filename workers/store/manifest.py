"""Builds and commits the manifest: what was stored of a batch, beside what Gemini says of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    read_manifest,
)
from receiver.outputs.outcomes import Outcome
from receiver.outputs.paths import Template, manifest_name, signature_name
from receiver.outputs.prices import Prices
from receiver.outputs.proof_keys import ProofKey
from receiver.storage import Storage
from workers.results.cost import price_batch
from workers.results.result_counts import Balance, KeyComparison, ResultCounts
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


@dataclass(frozen=True)
class ManifestInputs:
    """What a manifest is made of beside Gemini's batch, its results and what was written."""

    template: Template
    prices: Prices
    batch_input: BatchInput | None = None
    project: str = ""
    metadata: Mapping[str, object] | None = None  # what the names were made with
    result_key: str = ""  # RESULT_KEY


def load_manifest(storage: Storage, batch: str) -> Manifest | None:
    """The manifest of a batch (`batches/<id>` or its id); None when the batch is not stored.

    Raises ManifestError and StorageError.
    """
    data = storage.read(manifest_name(batch))
    return None if data is None else read_manifest(data)


def commit_manifest(
    storage: Storage, manifest: Manifest, key: ProofKey | None, replaced: bytes | None
) -> None:
    """Commit a batch; `replaced` is the manifest that somebody asked to replace.

    The signature goes first, and its name depends on the content: no crash leaves a manifest
    without it, and two workers whose manifests differ don't replace each other's. Raises
    AlreadyStoredError.
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


def build_manifest(
    batch: Batch,
    source: Source,
    counts: ResultCounts,
    written: Written,
    inputs: ManifestInputs,
) -> Manifest:
    """The manifest of a batch whose lines are all in `counts`."""
    template, batch_input = inputs.template, inputs.batch_input
    compared = None if batch_input is None else batch_input.compare(counts)
    requests, balance = _balance_requests(batch, source, counts, batch_input, compared)
    ended, missing = batch.ended or batch.created, balance.missing
    cost = price_batch(inputs.prices, batch.model, ended, counts.metered(), missing)
    return Manifest(
        batch=batch.name,
        project=inputs.project or UNSET,
        state=batch.state,
        display_name=batch.display_name,
        model=batch.model,
        created=batch.created,
        ended=batch.ended,
        source=source,
        input=batch_input.record if batch_input else None,
        requests=requests,
        outcomes=counts.outcomes(),
        unmatched=UNSET if written.unmatched is None else written.unmatched,
        missing=missing,
        missing_keys=batch_input.missing_keys(compared) if batch_input and compared else [],
        balanced=balance.balanced,
        usage=counts.usage(),
        cost=cost if isinstance(cost, Cost) else "unknown",
        priced=cost if isinstance(cost, Priced) else UNSET,
        objects=written.objects,
        index=written.index,
        retry=written.retry,
        oversize=list(written.oversize),
        forms=written.forms or UNSET,
        error=_read_error(batch),
        template=template.text,
        capitals=template.capitals,
        key_pattern=UNSET if template.pattern is None else template.pattern.pattern,
        meta=template.meta_values(inputs.metadata) or UNSET,
        rules=RULES,
        result_key=inputs.result_key or UNSET,
        version=VERSION,
    )


def _balance_requests(
    batch: Batch,
    source: Source,
    counts: ResultCounts,
    batch_input: BatchInput | None,
    compared: KeyComparison | None,
) -> tuple[int | None, Balance]:
    """How many requests there were, and how the results compare with them.

    Gemini's count holds; the input's stands in for it. Where they differ nothing is balanced, nor
    where there were requests and no line of the source could be read.
    """
    in_input = batch.requests if batch_input is None else batch_input.record.requests
    requests = in_input if batch.requests is None else batch.requests
    balance, differs = counts.balance(requests, compared), in_input != requests

    is_unread = requests and source.kind != "none" and not _holds_results(counts, source)
    return requests, replace(balance, balanced=False) if differs or is_unread else balance


def _holds_results(counts: ResultCounts, source: Source) -> bool:
    """Whether any line could be read; of a doubted source, any that has a key."""
    outcomes = counts.outcomes()
    unread = outcomes[Outcome.MALFORMED] + (
        outcomes[Outcome.UNKEYED] if source.doubted is not UNSET else 0
    )
    return sum(outcomes.values()) > unread


def _read_error(batch: Batch) -> BatchError | None:
    """What Gemini says of the failure of a whole batch."""
    if batch.error_code is None and batch.error_message is None:
        return None
    return BatchError(batch.error_code, batch.error_message)
