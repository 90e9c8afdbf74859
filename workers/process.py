"""The job: from a batch's name to its outputs and its manifest. Read it from the top down."""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from receiver.batch_names import split_inbox_name
from receiver.errors import (
    AlreadyStoredError,
    ExpiredError,
    GeminiError,
    LeaseLostError,
    ReceiverError,
)
from receiver.gemini.batches import Gemini
from receiver.gemini.operations import Batch
from receiver.gemini.retention import has_outlived
from receiver.inbox.ledger import Inbox, Lease, connect
from receiver.inbox.summaries import summarise
from receiver.notices.payloads import describe_manifest
from receiver.outputs.manifest import Manifest, Record, Source, read_manifest
from receiver.outputs.name_codec import Capitals
from receiver.outputs.paths import manifest_name, retry_name
from receiver.retry import jittered, plan_wait_s
from receiver.settings.projects import Project
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.storage.replaced import set_aside
from receiver.telemetry.log_fields import log_fields
from receiver.telemetry.tracing import job_span, stage
from workers.download.download import open_source
from workers.forms.forms import Forms
from workers.job.configuration import current_settings
from workers.job.fates import settle_crash, settle_error
from workers.job.job_telemetry import JobTelemetry, announce
from workers.job.lease import LeaseKeeper, ShuttingDownError, clock_s
from workers.job.readings import DoubtedError, read_counts, require_belief, require_replacement
from workers.job.scratch import open_scratch
from workers.job.split import Split
from workers.results.result_counts import ResultCounts
from workers.store.batch_input import BatchInput, is_awaited
from workers.store.manifest import Written, build_manifest, commit_manifest
from workers.store.naming import choose_capitals
from workers.store.records import file_sha256

log = logging.getLogger(__name__)


class NotReadyError(ReceiverError):
    """Gemini has not finished the batch, or not yet said where its results are."""

    retryable = True


@dataclass(frozen=True)
class JobContext:
    """What a job works with."""

    settings: Settings
    project: Project  # whose batch it is
    inbox: Inbox
    gemini: Gemini
    storage: Storage
    tally: JobTelemetry


@dataclass(frozen=True)
class Attempt:
    """One pass over one batch."""

    batch: Batch
    batch_id: str  # without `batches/`
    account: ResultCounts
    known: BatchInput | None
    scratch: Path

    def complete_retries(self, path: Path) -> None:
        """Make whole requests of the keys in a file, where the input is known."""
        if self.known is not None:
            self.known.write_retries(path, self.account)


@contextmanager
def _open_parts(
    settings: Settings, inbox: Inbox, tally: JobTelemetry, project: str
) -> Iterator[JobContext]:
    """Gemini is asked with the key of the project whose door the batch came to."""
    asking = settings.project(project)
    with Gemini(settings.base_url, asking.api_key, settings.api_version) as gemini:
        yield JobContext(settings, asking, inbox, gemini, open_storage(settings.storage_url), tally)


def process_batch(name: str) -> None:
    """One attempt at one batch: what RQ runs. Whatever goes wrong is written into the inbox, not into RQ."""
    settings = current_settings()
    with log_fields(batch=name), connect(settings.redis_url) as client:
        inbox, asked_s = Inbox(client, settings.notices.digests), clock_s()
        lease = inbox.claim(name)
        if lease is None:
            log.info("batch.not_claimed")
            return
        with (
            log_fields(attempt=lease.attempts + 1),
            job_span(lease.trace),
            JobTelemetry(client, asked_s) as tally,
            LeaseKeeper(inbox, lease, asked_s, tally.progress) as keeper,
        ):
            try:
                _settle(settings, inbox, tally, keeper)
            except LeaseLostError:
                log.warning("batch.lease_lost")


def _settle(settings: Settings, inbox: Inbox, tally: JobTelemetry, keeper: LeaseKeeper) -> None:
    """Store the batch, or say in the inbox when to come back, or why never."""
    lease = keeper.lease
    project, batch = split_inbox_name(lease.batch)
    try:
        with _open_parts(settings, inbox, tally, project) as parts:
            manifest = _store(parts, keeper, batch)
        keeper.finish(summarise(manifest), describe_manifest(manifest))
    except NotReadyError as error:
        delay_s = jittered(plan_wait_s(lease.waits))
        keeper.postpone(delay_s, str(error), "waits")
        log.info("batch.not_ready", extra={"cause": str(error), "delay_s": round(delay_s, 1)})
    except DoubtedError as error:
        _read_again_later(keeper, error)
    except ShuttingDownError as error:
        keeper.release(str(error))
        log.info("batch.handed_back")
    except LeaseLostError as error:
        keeper.release(
            str(error)
        )  # where nobody took it over, Redis was away: that is no fault of the batch
        log.warning("batch.lease_not_kept")
    except ReceiverError as error:
        settle_error(
            keeper,
            error,
            settings.patience,
            lambda: _read_stored(open_storage(settings.storage_url), batch),
        )
    except Exception as error:
        log.exception("batch.crashed")
        settle_crash(keeper, error, settings.patience)


def _read_again_later(keeper: LeaseKeeper, error: DoubtedError) -> None:
    delay_s = jittered(error.delay_s)
    keeper.postpone(delay_s, str(error), "waits")
    log.warning("batch.doubted", extra={"cause": str(error), "delay_s": round(delay_s, 1)})


def _store(parts: JobContext, keeper: LeaseKeeper, name: str) -> Manifest:
    """Everything of one batch, the manifest last, which it gives."""
    with stage("ask"):
        batch = _get_ended(parts.gemini, name)
    batch_id = batch.name.removeprefix("batches/")
    old = parts.storage.read(manifest_name(batch_id)) if keeper.lease.again else None
    if old is None and (stored := _find_stored(parts.storage, batch)) is not None:
        return stored
    with open_scratch(parts.settings, parts.storage) as scratch:
        account = ResultCounts()
        known = BatchInput.fetch(
            parts.storage, batch_id, scratch, keeper.check, parts.settings.result_key
        )
        if known is None and is_awaited(parts.storage, batch):
            raise NotReadyError("the input is still on its way into the storage")
        if old is not None:
            require_replacement(keeper, parts.gemini, batch, known, old, parts.settings)
            set_aside(parts.storage, batch_id, old, scratch)
        parts = _with_capitals(
            parts, choose_capitals(old, tells_case_apart=parts.storage.tells_case_apart())
        )
        attempt = Attempt(batch, batch_id, account, known, scratch)
        with _telling_the_expired(batch, keeper.lease):
            source, written = _store_results(parts, keeper, attempt)
        settings, project = parts.settings, parts.project.name
        inputs = (
            settings.template,
            known,
            settings.prices,
            project,
            keeper.lease.metadata,
            settings.result_key,
        )
        manifest = build_manifest(batch, source, account, written, *inputs)
    keeper.check()
    try:
        with stage("manifest"):
            commit_manifest(parts.storage, manifest, parts.settings.proof_key, old)
    except AlreadyStoredError:
        return _find_stored(parts.storage, batch) or manifest
    announce(parts.inbox, manifest)
    parts.tally.end_whole(manifest)
    return manifest


def _with_capitals(parts: JobContext, capitals: Capitals) -> JobContext:
    """From here on every name, and the manifest, follow the template."""
    template = replace(parts.settings.template, capitals=capitals)
    return replace(parts, settings=replace(parts.settings, template=template))


def _find_stored(storage: Storage, batch: Batch) -> Manifest | None:
    """What an earlier attempt committed, which may have died before it could say so. Raises ManifestError."""
    stored = _read_stored(storage, batch.name)
    if stored is not None:
        log.info("batch.already_stored")
    return stored


def _read_stored(storage: Storage, name: str) -> Manifest | None:
    data = storage.read(manifest_name(name))
    return None if data is None else read_manifest(data)


def _get_ended(gemini: Gemini, name: str) -> Batch:
    """Ask Gemini. Raises NotReadyError while the batch has no end, or no results that it must have."""
    batch = gemini.get_batch(name)
    if not batch.is_terminal:
        raise NotReadyError(f"Gemini says {batch.state}")
    if batch.lacks_output and not has_outlived(batch.ended, time.time()):
        raise NotReadyError(f"Gemini says {batch.state} but does not name the results yet")
    return batch


@contextmanager
def _telling_the_expired(batch: Batch, lease: Lease) -> Iterator[None]:
    """What Gemini refuses of results so old that they had outlived their time when we first heard of the batch."""
    try:
        yield
    except GeminiError as error:
        if error.fault == "refused" and has_outlived(batch.ended, lease.first_ms / 1000):
            raise ExpiredError(
                f"it ended at {batch.ended}, and its results are gone: {error}"
            ) from error
        raise


def _store_results(
    parts: JobContext, keeper: LeaseKeeper, attempt: Attempt
) -> tuple[Source, Written]:
    """Split the results into outputs and records; where a batch has none, only what to send again is left to say."""
    batch, account = attempt.batch, attempt.account
    if batch.lacks_output:
        raise GeminiError(f"Gemini says {batch.state}, but names no results", fault="refused")
    if not batch.has_output:
        return Source("none"), Written(retry=_store_retries(parts.storage, attempt))
    settings = parts.settings
    namer = settings.template.bind(
        attempt.batch_id,
        display_name=batch.display_name,
        model=batch.model,
        created=batch.created,
        metadata=keeper.lease.metadata,
    )
    results = open_source(parts.gemini, batch, keeper.check)
    parts.tally.follow(batch, results, account)
    with (
        _open_forms(parts, keeper, attempt) as forms,
        Split(
            attempt.batch_id,
            parts.storage,
            namer,
            account,
            keeper.check,
            attempt.scratch,
            forms,
            result_key=settings.result_key,
        ) as split,
    ):
        with stage("split"):
            split.run(parts.tally.count(results.chunks()))
        parts.tally.end_stage("split")
        reading = read_counts(batch, attempt.known, account, results, split.counts)
        doubted = require_belief(
            keeper, reading, results.sha256, split.size_bytes, parts.settings.patience.base_s
        )
        with stage("store"):
            written = split.store(attempt.complete_retries)
        parts.tally.end_stage("store")
    kind: Literal["file", "inline"] = "file" if batch.result_file else "inline"
    source = Source(
        kind,
        batch.result_file,
        split.size_bytes,
        account.lines,
        account.blank,
        results.sha256,
        doubted,
    )
    return source, written


def _open_forms(
    parts: JobContext, keeper: LeaseKeeper, attempt: Attempt
) -> AbstractContextManager[Forms | None]:
    """What OUTPUT_FORMS asks for beside the raw lines; None when that is nothing."""
    if not parts.settings.forms:
        return nullcontext()
    return Forms(parts.settings, attempt.batch_id, parts.storage, keeper.check, attempt.scratch)


def _store_retries(storage: Storage, attempt: Attempt) -> Record | None:
    """Without results every request is worth sending again, if the input is known."""
    if attempt.known is None:
        return None
    name, path = retry_name(attempt.batch_id), attempt.scratch / "retry"
    path.touch()
    attempt.complete_retries(path)
    digest = file_sha256(path)
    storage.put_files([(name, path)])
    return Record(name, digest)
