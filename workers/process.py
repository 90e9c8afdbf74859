"""The job: from a batch's name to its outputs and its manifest. Read it from the top down."""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from receiver.batch_names import BatchName, SubmissionName
from receiver.errors import (
    AlreadyStoredError,
    ExpiredError,
    GeminiError,
    LeaseLostError,
    NotReadyError,
)
from receiver.gemini.operations import Batch
from receiver.inbox.entry_fields import summarise
from receiver.inbox.ledger import Inbox, Lease
from receiver.inbox.redis import connect
from receiver.notices.payloads import describe_manifest
from receiver.outputs.manifest import Manifest, Record, Source, choose_capitals
from receiver.outputs.paths import manifest_name, retry_name
from receiver.retry import has_outlived
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.storage.replaced import set_aside
from receiver.telemetry.metrics.definitions import encode_cost
from receiver.telemetry.tracing import job_span, log_fields, stage
from workers.download.download import open_source
from workers.forms.forms import Forms
from workers.forms.writers import BatchFacts
from workers.job.context import JobContext, current_settings, open_context, open_scratch
from workers.job.job_telemetry import JobTelemetry, announce
from workers.job.lease import LeaseKeeper, claim
from workers.job.readings import check_replacement, confirm_reading, summarise_reading
from workers.job.settlement import settle
from workers.job.split import Split
from workers.results.line_cost import cost_of_lines
from workers.results.result_counts import ResultCounts
from workers.store.batch_input import BatchInput, is_awaited
from workers.store.manifest import (
    ManifestInputs,
    Written,
    build_manifest,
    commit_manifest,
    load_manifest,
)
from workers.store.records import file_sha256

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """One pass over one batch."""

    batch: Batch
    counts: ResultCounts
    batch_input: BatchInput | None
    scratch: Path

    def complete_retries(self, path: Path) -> None:
        """Replace the keys in a file with whole requests, where the input is known."""
        if self.batch_input is not None:
            self.batch_input.write_retries(path, self.counts)


def process_batch(name: str) -> None:
    """One attempt at one batch: what RQ runs. Whatever goes wrong goes to the inbox, not to RQ."""
    settings = current_settings()
    with log_fields(batch=name), connect(settings.redis_url) as client:
        inbox = Inbox(client, settings.notices.digests)
        lease, claim_started_s = claim(inbox, name)
        if lease is None:
            log.info("batch.not_claimed")
            return

        with (
            log_fields(attempt=lease.attempts + 1),
            job_span(lease.trace),
            JobTelemetry(client, claim_started_s) as telemetry,
            LeaseKeeper(inbox, lease, claim_started_s, telemetry.progress) as keeper,
        ):
            try:
                _settle(settings, inbox, telemetry, keeper)
            except LeaseLostError:
                log.warning("batch.lease_lost")


def _settle(settings: Settings, inbox: Inbox, telemetry: JobTelemetry, keeper: LeaseKeeper) -> None:
    """Store the batch, or say in the inbox when to come back, or why never."""
    lease = keeper.lease
    name = BatchName.read(lease.batch)
    try:
        with open_context(settings, name.project, telemetry, inbox, keeper) as context:
            manifest = _store(context, name.gemini)
        keeper.finish(summarise(manifest), describe_manifest(manifest))
    except Exception as error:  # noqa: BLE001 - whatever it is, the inbox has to know

        def find_stored() -> Manifest | None:
            return load_manifest(open_storage(settings.storage_url), name.gemini)

        settle(keeper, error, settings.patience, find_stored)


def _store(context: JobContext, name: str) -> Manifest:
    """Store everything of one batch, the manifest last. Returns the manifest."""
    storage, lease = context.storage, context.lease
    with stage("ask"):
        batch = _get_ended(context, name)
    old = storage.read(manifest_name(batch.name)) if lease.again else None
    if old is None and (stored := _find_stored(storage, batch)) is not None:
        return stored

    with open_scratch(context.settings, storage) as scratch:
        attempt = _begin_attempt(context, batch, scratch)
        if old is not None:
            check_replacement(context, batch, attempt.batch_input, old, scratch)
            set_aside(storage, attempt.batch.name, old, scratch)
        capitals = choose_capitals(old, tells_case_apart=storage.tells_case_apart())
        context = context.with_capitals(capitals)
        with _telling_the_expired(batch, lease):
            source, written = _store_results(context, attempt)
        manifest = _build_manifest(context, attempt, source, written)

    context.check()
    if old is None:  # else it was counted when it was stored first
        context.keeper.record("cost", encode_cost(manifest.model, manifest.dollars))
    try:
        with stage("manifest"):
            commit_manifest(storage, manifest, context.settings.proof_key, old)
    except AlreadyStoredError:
        return _find_stored(storage, batch) or manifest
    announce(context.inbox, manifest)
    context.telemetry.end_whole(manifest)
    return manifest


def _get_ended(context: JobContext, name: str) -> Batch:
    """Ask Gemini. Raises NotReadyError while the batch has not ended, or lacks its results."""
    batch = context.gemini.get_batch(name)
    submission = SubmissionName.of_batch(BatchName(context.project.name, ""), batch.tag)
    context.keeper.submission = "" if submission is None else str(submission)
    if not batch.is_terminal:
        raise NotReadyError(f"Gemini says {batch.state}")
    if batch.lacks_output and not has_outlived(batch.ended, time.time()):
        raise NotReadyError(f"Gemini says {batch.state} but does not name the results yet")
    return batch


def _find_stored(storage: Storage, batch: Batch) -> Manifest | None:
    """What an earlier attempt committed; it may have died before it said so.

    Raises ManifestError.
    """
    stored = load_manifest(storage, batch.name)
    if stored is not None:
        log.info("batch.already_stored")
    return stored


def _begin_attempt(context: JobContext, batch: Batch, scratch: Path) -> Attempt:
    """Fetch the batch's input. Raises NotReadyError while whoever sent it has yet to store it."""
    batch_input = _fetch_input(context, batch, scratch)
    if batch_input is None:
        if is_awaited(context.storage, batch):
            raise NotReadyError("the input is still on its way into the storage")
        batch_input = _fetch_input(context, batch, scratch)  # it may have arrived in between
    return Attempt(batch, ResultCounts(scratch), batch_input, scratch)


def _fetch_input(context: JobContext, batch: Batch, scratch: Path) -> BatchInput | None:
    result_key = context.settings.result_key
    return BatchInput.fetch(context.storage, batch.name, scratch, context.check, result_key)


@contextmanager
def _telling_the_expired(batch: Batch, lease: Lease) -> Iterator[None]:
    """Raises ExpiredError for results that were gone when we first heard of the batch."""
    try:
        yield
    except GeminiError as error:
        if error.fault == "refused" and has_outlived(batch.ended, lease.first_ms / 1000):
            words = f"it ended at {batch.ended}, and its results are gone: {error}"
            raise ExpiredError(words) from error
        raise


def _store_results(context: JobContext, attempt: Attempt) -> tuple[Source, Written]:
    """Split the results into outputs and records.

    A batch without results has only the requests that can be sent again.
    """
    batch, counts, telemetry = attempt.batch, attempt.counts, context.telemetry
    if batch.lacks_output:
        raise GeminiError(f"Gemini says {batch.state}, but names no results", fault="refused")
    if not batch.has_output:
        return Source("none"), Written(retry=_store_retries(context.storage, attempt))

    results = open_source(context.gemini, batch, context.check)
    telemetry.follow(batch, results, counts)
    with _open_forms(context, attempt) as forms, _open_split(context, attempt, forms) as split:
        with stage("split"):
            split.run(telemetry.count(results.chunks()))
        telemetry.end_stage("split")

        reading = summarise_reading(batch, attempt.batch_input, counts, results, split.line_counts)
        doubted = confirm_reading(context, reading, results.sha256, split.size_bytes)

        with stage("store"):
            written = split.store(attempt.complete_retries)
        telemetry.end_stage("store")

    kind: Literal["file", "inline"] = "file" if batch.result_file else "inline"
    lines, blank = counts.lines, counts.blank
    source = Source(
        kind, batch.result_file, split.size_bytes, lines, blank, results.sha256, doubted
    )
    return source, written


def _open_forms(context: JobContext, attempt: Attempt) -> AbstractContextManager[Forms | None]:
    """What OUTPUT_FORMS asks for beside the raw lines; None when that is nothing."""
    if not context.settings.forms:
        return nullcontext()
    batch, settings = attempt.batch, context.settings
    cost_of = cost_of_lines(settings.prices, batch.model, batch.ended)
    return Forms(
        settings,
        BatchFacts(batch.name, batch.model, batch.display_name, batch.created, cost_of),
        context.storage,
        context.check,
        attempt.scratch,
    )


def _open_split(context: JobContext, attempt: Attempt, forms: Forms | None) -> Split:
    batch, settings = attempt.batch, context.settings
    namer = settings.template.bind(
        attempt.batch.name,
        display_name=batch.display_name,
        model=batch.model,
        created=batch.created,
        metadata=context.lease.metadata,
    )
    return Split(
        attempt.batch.name,
        context.storage,
        namer,
        attempt.counts,
        context.check,
        attempt.scratch,
        forms,
        result_key=settings.result_key,
    )


def _store_retries(storage: Storage, attempt: Attempt) -> Record | None:
    """Without results every request is worth sending again, if the input is known."""
    if attempt.batch_input is None:
        return None
    name, path = retry_name(attempt.batch.name), attempt.scratch / "retry"
    path.touch()
    attempt.complete_retries(path)
    digest = file_sha256(path)
    storage.put_files([(name, path)])
    return Record(name, digest)


def _build_manifest(
    context: JobContext, attempt: Attempt, source: Source, written: Written
) -> Manifest:
    settings = context.settings
    inputs = ManifestInputs(
        settings.template,
        settings.prices,
        attempt.batch_input,
        project=context.project.name,
        metadata=context.lease.metadata,
        result_key=settings.result_key,
    )
    return build_manifest(attempt.batch, source, attempt.counts, written, inputs)
