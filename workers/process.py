"""The job: from a batch's name to its outputs and its manifest. Read it from the top down."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from receiver.errors import (
    AlreadyStoredError,
    DownloadError,
    GeminiError,
    InboxUnavailableError,
    LeaseLostError,
    ReceiverError,
)
from receiver.gemini.client import Batch, Gemini
from receiver.inbox.ledger import Inbox, connect
from receiver.inbox.names import split_inbox_name
from receiver.inbox.summaries import summarise
from receiver.layout import manifest_name, retry_name
from receiver.log_fields import log_fields
from receiver.manifests import Manifest, Record, Source, encode_manifest, read_manifest
from receiver.notices.messages import describe_manifest
from receiver.projects import Project
from receiver.retry import jittered, plan_retry_s, plan_wait_s
from receiver.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.tracing import job_span, stage
from workers.account import Account
from workers.configuration import current_settings
from workers.digests import file_sha256
from workers.forms.forms import Forms
from workers.known_input import KnownInput, is_awaited
from workers.lease import LeaseKeeper, ShuttingDownError, clock_s
from workers.manifest import Written, build_manifest
from workers.scratch import open_scratch
from workers.sources import ResultSource, open_source
from workers.split import Split
from workers.tally import Tally

log = logging.getLogger(__name__)


class NotReadyError(ReceiverError):
    """Gemini has not finished the batch, or not yet said where its results are."""

    retryable = True


@dataclass(frozen=True)
class Parts:
    """What a job works with."""

    settings: Settings
    project: Project  # whose batch it is
    inbox: Inbox
    gemini: Gemini
    storage: Storage
    tally: Tally


@dataclass(frozen=True)
class Attempt:
    """One pass over one batch."""

    batch: Batch
    batch_id: str  # without `batches/`
    account: Account
    known: KnownInput | None
    scratch: Path

    def complete_retries(self, path: Path) -> None:
        """Make whole requests of the keys in a file, where the input is known."""
        if self.known is not None:
            self.known.write_retries(path, self.account)


@contextmanager
def _open_parts(settings: Settings, inbox: Inbox, tally: Tally, project: str) -> Iterator[Parts]:
    """Gemini is asked with the key of the project whose door the batch came to."""
    asking = settings.project(project)
    with Gemini(settings.base_url, asking.api_key, settings.api_version) as gemini:
        yield Parts(settings, asking, inbox, gemini, open_storage(settings.storage_url), tally)


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
            Tally(client, asked_s) as tally,
            LeaseKeeper(inbox, lease, asked_s, tally.progress) as keeper,
        ):
            try:
                _settle(settings, inbox, tally, keeper)
            except LeaseLostError:
                log.warning("batch.lease_lost")


def _settle(settings: Settings, inbox: Inbox, tally: Tally, keeper: LeaseKeeper) -> None:
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
    except ShuttingDownError as error:
        keeper.release(str(error))
        log.info("batch.handed_back")
    except LeaseLostError as error:
        keeper.release(str(error))  # where nobody took it over, Redis was away: that is no fault of the batch
        log.warning("batch.lease_not_kept")
    except ReceiverError as error:
        _fail(settings, keeper, error)
    except Exception as error:
        log.exception("batch.crashed")
        _postpone(settings, keeper, f"unexpected {type(error).__name__}: {error}", None)


def _fail(settings: Settings, keeper: LeaseKeeper, error: ReceiverError) -> None:
    if error.retryable:
        asked_s = error.retry_after_s if isinstance(error, GeminiError) else None
        _postpone(settings, keeper, str(error), asked_s)
    else:
        keeper.bury(str(error))
        log.error("batch.buried", extra={"cause": str(error)})


def _postpone(settings: Settings, keeper: LeaseKeeper, cause: str, asked_s: float | None) -> None:
    lease = keeper.lease
    delay_s = jittered(plan_retry_s(lease.attempts, settings.retry_base_s, asked_s))
    state = keeper.postpone(delay_s, cause, "attempts")
    if state == "buried":
        log.error("batch.buried", extra={"cause": cause})
    else:
        log.warning("batch.postponed", extra={"cause": cause, "delay_s": round(delay_s, 1)})


def _store(parts: Parts, keeper: LeaseKeeper, name: str) -> Manifest:
    """Everything of one batch, the manifest last, which it gives."""
    with stage("ask"):
        batch = _get_ended(parts.gemini, name)
    batch_id = batch.name.removeprefix("batches/")
    if (stored := _find_stored(parts.storage, batch)) is not None:
        return stored
    with open_scratch(parts.settings, parts.storage) as scratch:
        account = Account()
        known = KnownInput.fetch(parts.storage, batch_id, scratch, keeper.check, parts.settings.result_key)
        if known is None and is_awaited(parts.storage, batch):
            raise NotReadyError("the input is still on its way into the storage")
        attempt = Attempt(batch, batch_id, account, known, scratch)
        source, written = _store_results(parts, keeper, attempt)
        settings, project = parts.settings, parts.project.name
        about = (settings.template.text, known, settings.prices, project, settings.result_key)
        manifest = build_manifest(batch, source, account, written, *about)
    keeper.check()
    try:
        with stage("manifest"):
            parts.storage.create(manifest_name(batch_id), encode_manifest(manifest))
    except AlreadyStoredError:
        return _find_stored(parts.storage, batch) or manifest
    _announce(parts.inbox, manifest)
    parts.tally.end_whole(manifest)
    return manifest


def _find_stored(storage: Storage, batch: Batch) -> Manifest | None:
    """What an earlier attempt committed, which may have died before it could say so. Raises ManifestError."""
    data = storage.read(manifest_name(batch.name))
    if data is None:
        return None
    log.info("batch.already_stored")
    return read_manifest(data)


def _get_ended(gemini: Gemini, name: str) -> Batch:
    """Ask Gemini. Raises NotReadyError while the batch has no end, or no results that it must have."""
    batch = gemini.get_batch(name)
    if not batch.is_terminal:
        raise NotReadyError(f"Gemini says {batch.state}")
    if batch.state == "SUCCEEDED" and not batch.has_output:
        raise NotReadyError("Gemini says SUCCEEDED but does not name the results yet")
    return batch


def _store_results(parts: Parts, keeper: LeaseKeeper, attempt: Attempt) -> tuple[Source, Written]:
    """Split the results into outputs and records; where a batch has none, only what to send again is left to say."""
    batch, account = attempt.batch, attempt.account
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
            attempt.batch_id, parts.storage, namer, account, keeper.check, attempt.scratch, forms, settings.result_key
        ) as split,
    ):
        with stage("split"):
            split.run(parts.tally.count(results.chunks()))
        parts.tally.end_stage("split")
        _require_end(results, split, account, batch)
        with stage("store"):
            written = split.store(attempt.complete_retries)
        parts.tally.end_stage("store")
    kind: Literal["file", "inline"] = "file" if batch.result_file else "inline"
    source = Source(kind, batch.result_file, split.size_bytes, account.lines, account.blank, results.sha256)
    return source, written


def _open_forms(parts: Parts, keeper: LeaseKeeper, attempt: Attempt) -> AbstractContextManager[Forms | None]:
    """What OUTPUT_FORMS asks for beside the raw lines; None when that is nothing."""
    if not parts.settings.forms:
        return nullcontext()
    return Forms(parts.settings, attempt.batch_id, parts.storage, keeper.check, attempt.scratch)


def _require_end(results: ResultSource, split: Split, account: Account, batch: Batch) -> None:
    """Refuse a source that may have been cut: it did not prove its end, and its last line or its count looks short."""
    missing = account.balance(batch.requests).missing
    if not results.end_proven and (split.is_cut or missing):
        raise DownloadError(
            f"{batch.result_file} came without a length and looks cut: {missing} requests have no result",
            retryable=True,
        )


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


def _announce(inbox: Inbox, manifest: Manifest) -> None:
    """Say that the batch is stored; loudly when its books don't balance, or when it succeeded with requests missing."""
    unbalanced = manifest.balanced is False
    loud = unbalanced or (bool(manifest.missing) and manifest.state == "SUCCEEDED")
    about: dict[str, object] = {
        "state": manifest.state,
        "requests": manifest.requests,
        "balanced": manifest.balanced,
        "missing": manifest.missing,
    }
    log.log(logging.ERROR if loud else logging.INFO, "batch.stored", extra=about | manifest.outcomes)
    if unbalanced:
        try:
            inbox.count("unbalanced_batches")
        except InboxUnavailableError as error:  # the manifest says it for good; the counter is a convenience
            log.warning("batch.not_counted", extra={"cause": str(error)})
