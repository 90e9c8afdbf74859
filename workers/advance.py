"""The job of a submission: do all that can be done for it now. Read it from the top down."""

import logging

import redis

from receiver.batch_names import SubmissionName
from receiver.errors import LeaseLostError, SubmissionError
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledgers import Ledgers, open_ledgers
from receiver.inbox.redis import connect
from receiver.settings.settings import Settings
from receiver.submissions.loading import StateLoader
from receiver.submissions.notices import describe_submission
from receiver.submissions.proof import SubmissionManifest
from receiver.submissions.standing import encode_standing
from receiver.telemetry.tracing import job_span, log_fields
from workers.job.context import current_settings
from workers.job.lease import LeaseKeeper, claim
from workers.submissions.actions import go_on
from workers.submissions.context import AdvanceContext, open_context
from workers.submissions.room_line import RoomLine
from workers.submissions.settlement import rest, settle

log = logging.getLogger(__name__)


def advance_submission(name: str) -> None:
    """What RQ runs. Whatever goes wrong goes to the submission's ledger, not to RQ."""
    settings = current_settings()
    with log_fields(submission=name), connect(settings.redis_url) as client:
        ledgers = open_ledgers(client, settings.notices.digests)
        lease, claim_started_s = claim(ledgers.submissions, name)
        if lease is None:
            log.info("submission.not_claimed")
            return

        with (
            log_fields(attempt=lease.attempts + 1),
            job_span(lease.trace),
            LeaseKeeper(ledgers.submissions, lease, claim_started_s) as keeper,
        ):
            try:
                _settle(settings, client, ledgers, keeper)
            except LeaseLostError:
                log.warning("submission.lease_lost")


def _settle(
    settings: Settings, client: "redis.Redis", ledgers: Ledgers, keeper: LeaseKeeper
) -> None:
    """Advance it, and say in its ledger how it ended, when to come back, or why never."""
    try:
        name = SubmissionName.parse(keeper.lease.batch)
        with open_context(settings, name, client, ledgers.batches, keeper.check) as context:
            loader = StateLoader(context.storage, context.batches, name.id)
            state, wait = go_on(context, loader)
            line = RoomLine(client, name.project, loader.submission.spec.model)
            wait = line.update(keeper.lease, wait)
            if wait is None:
                _end(keeper, _read_proof(context))
            else:
                keeper.record("standing", encode_standing(state))
                rest(keeper, wait)
    except Exception as error:  # noqa: BLE001 - whatever it is, the ledger has to know
        settle(keeper, error, settings.patience)


def _read_proof(context: AdvanceContext) -> SubmissionManifest:
    manifest = context.records.read_manifest()
    if manifest is None:
        raise SubmissionError(f"{context.records.manifest_name} has just been deleted")
    return manifest


def _end(keeper: LeaseKeeper, manifest: SubmissionManifest) -> None:
    summary = Summary(
        state=manifest.state,
        display_name=manifest.display_name,
        model=manifest.model,
        requests=manifest.requests,
        outcomes=manifest.outcomes,
        missing=manifest.missing,
        balanced=manifest.balanced,
    )
    keeper.finish(summary, describe_submission(manifest))
    log.info(
        "submission.ended",
        extra={"state": manifest.state, "reason": manifest.reason, "answered": manifest.answered},
    )
