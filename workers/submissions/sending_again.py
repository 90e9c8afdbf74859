"""The job that sends the failed requests of a stored batch again, as the status page asked for."""

import logging
from pathlib import Path

import redis

from receiver.batch_names import SUBMISSION_ID, BatchName, SubmissionName
from receiver.errors import ReceiverError, StorageError, SubmissionError
from receiver.gemini.batches import Gemini
from receiver.inbox.redis import connect
from receiver.outputs.manifest import Manifest
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.submissions.again import read_sent_again, read_wish, tell_wish
from receiver.submissions.batch_links import read_links
from receiver.submissions.estimates import check_policy
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.model_check import check_model
from receiver.submissions.planning import SubmitRequest, draft_submission
from receiver.submissions.policy import Policy
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.settling import intend, settle
from receiver.submissions.submission import Submission
from receiver.submissions.weighing import weigh_input
from receiver.telemetry.tracing import log_fields
from workers.job.context import current_settings, open_scratch
from workers.job.shared_memory import is_out_of_time, is_shutting_down
from workers.store.manifest import load_manifest
from workers.submissions.part_results import Reading
from workers.submissions.resending import describe_resent, write_resent

STOPPED = "its worker was stopped before the requests were ready: ask again, nothing is sent twice"
CRASHED = "it went wrong here; the log of the worker says more"
log = logging.getLogger(__name__)


def send_failed_again(name: str) -> None:
    """What RQ runs; `name` is the batch's in the inbox. Whatever goes wrong is told who asked."""
    settings = current_settings()
    with log_fields(batch=name), connect(settings.redis_url) as client:
        wish = read_wish(client, name)
        if wish is None or wish.state not in ("asked", "running"):
            log.info("again.not_asked")
            return

        tell_wish(client, name, "running")
        try:
            _send(settings, client, BatchName.read(name))
        except ReceiverError as error:
            log.warning("again.failed", extra={"cause": str(error)})
            tell_wish(client, name, "failed", str(error))
        except Exception:  # whatever it is, who asked has to know
            log.exception("again.crashed")
            tell_wish(client, name, "failed", CRASHED)


def _send(settings: Settings, client: "redis.Redis", batch: BatchName) -> None:
    """Make a submission of them, and say which one, once workers know of it."""
    storage = open_storage(settings.storage_url)
    manifest = load_manifest(storage, batch.gemini)
    if manifest is None:
        raise StorageError(f"{batch.gemini} is not stored", retryable=False)
    with open_scratch(settings, storage) as scratch:
        requests, before = scratch / f"retry-of-{batch.id}.jsonl", _count_planned(storage, batch)
        if not write_resent(Reading(storage, scratch, _check), manifest, requests):
            is_under_way = read_sent_again(storage, str(batch)).is_settled
            log.info("again.nothing")
            tell_wish(client, str(batch), "waiting" if is_under_way else "nothing")
            return
        request = _describe(storage, batch, requests, manifest, before)
        submission = _settle(settings, storage, requests, request)
    name = SubmissionName(batch.project, submission.id)
    accept_submission(client, name)
    log.info("again.sent")
    tell_wish(client, str(batch), "sent", str(name))


def _count_planned(storage: Storage, batch: BatchName) -> int:
    """How often requests were sent again, before anybody looks at which ones.

    Another job may be about to plan the same: then it does not count yet, this one gives it the
    same name, and both make one submission. What is planned before is left out of the requests.
    """
    links = read_links(storage, batch.gemini)
    return sum(
        not SUBMISSION_ID.fullmatch(one) or SubmissionRecords(storage, one).read_plan() is not None
        for one in links
    )


def _describe(
    storage: Storage, batch: BatchName, requests: Path, manifest: Manifest, before: int
) -> SubmitRequest:
    """Each time under a name of its own: the same requests under the same name are the same wish.

    What is under way is none of these requests, so nothing is sent twice.
    """
    if manifest.model is None:
        command = f"`gemini-batch-receiver resubmit {batch.short} --model MODEL`"
        raise SubmissionError(f"the manifest does not say which model answered: {command} does")
    display_name = f"retry {before + 1} of {batch.id}" if before else None
    return describe_resent(storage, batch, requests, manifest.model, display_name)


def _settle(
    settings: Settings, storage: Storage, requests: Path, request: SubmitRequest
) -> Submission:
    """Check and keep it. Raises SubmissionError where it may not be sent."""
    project = settings.project(request.project)
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        check_model(gemini.transport, request.model, request.kind)
    draft = draft_submission(requests, request, weigh_input(settings, requests, request))
    _check()
    if draft.estimate is not None:
        check_policy(draft.estimate, draft.parts, Policy(), project.limits.daily_cost_cap)
    intended = intend(storage, requests, draft, {"rounds": 0})
    return settle(storage, requests, intended).submission


def _check() -> None:
    """Called now and then: stop before anything is kept, when this process has to end."""
    if is_shutting_down() or is_out_of_time():
        raise SubmissionError(STOPPED)
