"""Sends the requests of a part one by one with the tier `flex`, and stores them as a batch."""

import logging
import time
from collections.abc import Iterator

from receiver.errors import AlreadyStoredError, StepPendingError, SubmissionError
from receiver.gemini.content import generate_flex
from receiver.submissions.attached_files import complete_part
from receiver.submissions.daily_budget import day_of, part_reference
from receiver.submissions.decisions import SendFlexPart
from receiver.submissions.flex_records import FlexProgress, FlexRecords
from receiver.submissions.part_copy import PartCopy
from receiver.submissions.records import Created, CreateIntent
from receiver.submissions.state import SubmissionState
from receiver.submissions.submission import Part
from receiver.telemetry.metrics.definitions import encode_cost
from receiver.telemetry.metrics.history import count_cost
from workers.store.manifest import load_manifest
from workers.submissions.context import AdvanceContext
from workers.submissions.flex_lane import FlexLane, FlexRequest
from workers.submissions.flex_lines import (
    CANCELLED,
    Asked,
    error_line,
    lost_line,
    read_asked,
    read_request,
)
from workers.submissions.flex_results import FlexBatch, FlexStore

log = logging.getLogger(__name__)


def send_flex_part(context: AdvanceContext, state: SubmissionState, action: SendFlexPart) -> None:
    """Raises StepPendingError while requests are left for a later job."""
    part = state.parts[action.number - 1].part
    if state.submission.spec.kind != "generate":
        raise SubmissionError("embeddings can't be sent with the tier flex: only batches take them")
    begun_at = _begin(context, state, part)
    if begun_at is None:
        return
    batch = FlexBatch(state.submission, part, begun_at)
    if load_manifest(context.storage, batch.name) is None:
        records = FlexRecords(context.storage, context.name.id, part.number)
        with context.scratch() as scratch:
            requests = PartCopy.fetch(context.storage, part, scratch / "requests")
            progress = records.load()
            _give_up_lost(context, records, progress, requests)
            if action.may_send:
                sent = complete_part(
                    context.gemini.transport,
                    context.storage,
                    state.submission.spec,
                    requests,
                    scratch,
                    context.check,
                )
                _open_lane(context, state, records, progress).run(_unanswered(sent, progress))
            else:
                _cancel_unsent(context, records, progress, requests)
            FlexStore(context, batch, scratch).store(records, requests)
    _count_cost(context, batch)
    context.records.write_created(part, Created(batch.name))
    log.info("submission.flex_stored", extra={"part": part.number, "batch": batch.name})


def _count_cost(context: AdvanceContext, batch: FlexBatch) -> None:
    """Before the part has its batch: an attempt that ends in between is made again."""
    if (manifest := load_manifest(context.storage, batch.name)) is not None:
        name = context.batch_in_inbox(batch.name)
        count_cost(context.client, name, encode_cost(manifest.model, manifest.dollars))


def _begin(context: AdvanceContext, state: SubmissionState, part: Part) -> float | None:
    """When the first call may have been made: Unix time in seconds, the same for every attempt.

    None where the daily cap has no room for the part.
    """
    intent = context.records.intent(part, 1)
    if intent is not None:
        return intent.at

    now, cap = time.time(), context.project.limits.daily_cost_cap
    reference = part_reference(state.submission.id, part)
    if not context.budget.reserve(day_of(now), reference, part.most_cost, cap):
        return None  # another submission was faster: the next look sees less room
    intent = CreateIntent(file=None, display_name=state.submission.name_of(part), at=now)
    context.check()
    try:
        context.records.record_intent(part, 1, intent)
    except AlreadyStoredError as error:
        words = f"another process has begun to send part {part.number}"
        raise StepPendingError(words, delay_s=1) from error
    return now


def _open_lane(
    context: AdvanceContext, state: SubmissionState, records: FlexRecords, progress: FlexProgress
) -> FlexLane:
    transport, model = context.gemini.transport, state.submission.spec.model

    def send(asked: Asked) -> bytes:
        return generate_flex(transport, model, read_request(asked))

    return FlexLane(records, progress, send, context.check)


def _read(requests: PartCopy) -> Iterator[FlexRequest]:
    with requests.open() as lines:
        asked = (read_asked(line) for line in lines if line.strip())
        yield from (FlexRequest(number, one) for number, one in enumerate(asked, 1))


def _unanswered(requests: PartCopy, progress: FlexProgress) -> Iterator[FlexRequest]:
    return (one for one in _read(requests) if one.number not in progress.answered)


def _give_up_lost(
    context: AdvanceContext, records: FlexRecords, progress: FlexProgress, requests: PartCopy
) -> None:
    """Requests that a process sent which ended before their answer came."""
    if not any(map(progress.is_lost, progress.attempts)):
        return
    for one in _read(requests):
        if progress.is_lost(one.number):
            context.check()
            cause = "the process that sent it ended before the answer came"
            records.answer(one.number, lost_line(one.asked, cause))
            progress.answered.add(one.number)
            log.warning("flex.answer_lost", extra={"request": one.number})


def _cancel_unsent(
    context: AdvanceContext, records: FlexRecords, progress: FlexProgress, requests: PartCopy
) -> None:
    for one in _unanswered(requests, progress):
        context.check()
        words = "the submission was cancelled before this request was answered"
        records.answer(one.number, error_line(one.asked, CANCELLED, words))
