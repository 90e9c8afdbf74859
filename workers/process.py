"""The job: from a batch's name to its outputs and its manifest. Read it from the top down."""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from receiver.errors import AlreadyStoredError, GeminiError, LeaseLostError, ReceiverError
from receiver.gemini import Batch, Gemini
from receiver.inbox import Inbox, connect
from receiver.layout import manifest_name
from receiver.retry import jittered, plan_retry_s, plan_wait_s
from receiver.settings import Settings
from receiver.storage import Storage, open_storage
from workers.account import Account
from workers.configuration import current_settings
from workers.download import Download
from workers.lease import LeaseKeeper, ShuttingDownError, clock_s
from workers.manifest import Source, Written, build_manifest, encode_manifest
from workers.split import Split

log = logging.getLogger(__name__)


class NotReadyError(ReceiverError):
    """Gemini has not finished the batch, or not yet said where its results are."""

    retryable = True


@dataclass(frozen=True)
class Parts:
    """What a job works with."""

    settings: Settings
    inbox: Inbox
    gemini: Gemini
    storage: Storage


@contextmanager
def _open_parts(settings: Settings) -> Iterator[Parts]:
    with ExitStack() as stack:
        client = stack.enter_context(connect(settings.redis_url))
        gemini = stack.enter_context(Gemini(settings.base_url, settings.api_key, settings.api_version))
        yield Parts(settings, Inbox(client), gemini, open_storage(settings.storage_url))


def process_batch(name: str) -> None:
    """One attempt at one batch: what RQ runs. Whatever goes wrong is written into the inbox, not into RQ."""
    with _open_parts(current_settings()) as parts:
        asked_s = clock_s()
        lease = parts.inbox.claim(name)
        if lease is None:
            log.info("batch.not_claimed", extra={"batch": name})
            return
        with LeaseKeeper(parts.inbox, lease, asked_s) as keeper:
            try:
                _settle(parts, keeper)
            except LeaseLostError:
                log.warning("batch.lease_lost", extra={"batch": name})


def _settle(parts: Parts, keeper: LeaseKeeper) -> None:
    """Store the batch, or say in the inbox when to come back, or why never."""
    lease = keeper.lease
    try:
        summary = _store(parts, keeper)
        keeper.finish(summary)
    except NotReadyError as error:
        delay_s = jittered(plan_wait_s(lease.waits))
        keeper.postpone(delay_s, str(error), "waits")
        log.info("batch.not_ready", extra={"batch": lease.batch, "cause": str(error), "delay_s": round(delay_s, 1)})
    except ShuttingDownError as error:
        keeper.release(str(error))
        log.info("batch.handed_back", extra={"batch": lease.batch})
    except LeaseLostError as error:
        keeper.release(str(error))  # where nobody took it over, Redis was away: that is no fault of the batch
        log.warning("batch.lease_not_kept", extra={"batch": lease.batch})
    except ReceiverError as error:
        _fail(parts, keeper, error)
    except Exception as error:
        log.exception("batch.crashed", extra={"batch": lease.batch})
        _postpone(parts, keeper, f"unexpected {type(error).__name__}: {error}", None)


def _fail(parts: Parts, keeper: LeaseKeeper, error: ReceiverError) -> None:
    if error.retryable:
        asked_s = error.retry_after_s if isinstance(error, GeminiError) else None
        _postpone(parts, keeper, str(error), asked_s)
    else:
        keeper.bury(str(error))
        log.error("batch.buried", extra={"batch": keeper.lease.batch, "cause": str(error)})


def _postpone(parts: Parts, keeper: LeaseKeeper, cause: str, asked_s: float | None) -> None:
    lease = keeper.lease
    delay_s = jittered(plan_retry_s(lease.attempts, parts.settings.retry_base_s, asked_s))
    state = keeper.postpone(delay_s, cause, "attempts")
    about = {"batch": lease.batch, "cause": cause, "attempts": lease.attempts + 1}
    if state == "buried":
        log.error("batch.buried", extra=about)
    else:
        log.warning("batch.postponed", extra=about | {"delay_s": round(delay_s, 1)})


def _store(parts: Parts, keeper: LeaseKeeper) -> dict[str, int]:
    """Everything of one batch, the manifest last. Gives the counts of its outcomes."""
    batch = parts.gemini.get_batch(keeper.lease.batch)
    if not batch.is_terminal:
        raise NotReadyError(f"Gemini says {batch.state}")
    if batch.state == "SUCCEEDED" and not batch.has_output:
        raise NotReadyError("Gemini says SUCCEEDED but does not name the results yet")
    name = manifest_name(batch.name.removeprefix("batches/"))
    if parts.storage.exists(name):
        log.info("batch.already_stored", extra={"batch": batch.name})
        return {}
    account = Account()
    source, written = _store_results(parts, keeper, batch, account)
    manifest = build_manifest(batch, source, account, written, parts.settings.template.text)
    keeper.check()
    try:
        parts.storage.create(name, encode_manifest(manifest))
    except AlreadyStoredError:
        log.info("batch.already_stored", extra={"batch": batch.name})
    level = logging.ERROR if manifest["balanced"] is False and batch.state == "SUCCEEDED" else logging.INFO
    about = {
        "batch": batch.name,
        "state": batch.state,
        "balanced": manifest["balanced"],
        "missing": manifest["missing"],
    }
    log.log(level, "batch.stored", extra=about | account.outcomes())
    return account.outcomes()


def _store_results(parts: Parts, keeper: LeaseKeeper, batch: Batch, account: Account) -> tuple[Source, Written | None]:
    """Split the results into outputs and records; nothing to do where a batch has none."""
    if not batch.has_output:
        return Source("none"), None
    near = parts.settings.scratch_dir or parts.storage.scratch_near()
    batch_id = batch.name.removeprefix("batches/")
    namer = parts.settings.template.bind(
        batch_id,
        display_name=batch.display_name,
        model=batch.model,
        created=batch.created,
        metadata=keeper.lease.metadata,
    )
    with (
        tempfile.TemporaryDirectory(prefix="gbr-", dir=near) as folder,
        Split(batch_id, parts.storage, namer, account, keeper.check, Path(folder)) as split,
    ):
        split.run(_chunks(parts.gemini, batch))
        written = split.store()
    source = Source(
        "file" if batch.result_file else "inline",
        batch.result_file,
        split.size_bytes,
        account.lines,
        account.blank,
        split.sha256,
    )
    return source, written


def _chunks(gemini: Gemini, batch: Batch) -> Iterable[bytes]:
    if batch.result_file:
        return Download(gemini, batch.result_file).chunks()
    return (row + b"\n" for row in batch.inlined or ())
