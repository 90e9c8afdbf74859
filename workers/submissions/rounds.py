"""Plans a round: the requests of a submission that may be answered if they are sent again.

Blocked requests and permanent errors are left out, and so is what was lost on the way, since it may
have been paid for.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from receiver.answers.requests import read_key
from receiver.errors import AlreadyStoredError
from receiver.submissions.decisions import PlanRound
from receiver.submissions.gauges import Gauge, assume_rates, prices_around
from receiver.submissions.policy import Policy
from receiver.submissions.records import Round, SubmissionRecords
from receiver.submissions.splitting import (
    MAX_FILE_BYTES,
    MAX_INLINE_BYTES,
    PartCutter,
    PartLimits,
)
from receiver.submissions.state import PartState, SubmissionState
from receiver.submissions.stored_requests import store_requests
from receiver.submissions.submission import Lane, Part
from receiver.tolerant_json import as_object, tolerant_reader
from workers.submissions.context import AdvanceContext
from workers.submissions.lineage import withhold_resubmitted
from workers.submissions.part_results import (
    Reading,
    key_member,
    load_part_manifest,
    load_requests,
    read_requests,
)
from workers.submissions.request_table import Remedy, RequestTable
from workers.submissions.rewriting import explain, widen

_read_row = tolerant_reader(dict)


class Resent(NamedTuple):
    """A request that is sent again."""

    line: bytes  # with its newline
    remedy: Remedy
    last: PartState  # what it was sent with before


def plan_round(context: AdvanceContext, state: SubmissionState, action: PlanRound) -> None:
    """Record a round, as the submission's project and limits are now."""
    spec, settings = state.submission.spec, context.settings
    size_bytes = MAX_INLINE_BYTES if spec.inline else MAX_FILE_BYTES
    limits = PartLimits(
        size_bytes, _find_max_requests(state), context.project.limits.enqueue_limit(spec.model)
    )
    estimate = state.submission.estimate
    rates = (estimate and estimate.rates) or assume_rates()
    today = datetime.now(UTC).date()
    gauge = Gauge(spec.kind, rates, prices_around(settings.prices, spec.model, today))
    first = max(one.part.number for one in state.parts) + 1
    cutter = PartCutter(limits, gauge, first_number=first, of_round=action.number)
    with context.reading() as reading:
        write_round(reading, state, action, cutter)


def _find_max_requests(state: SubmissionState) -> int | None:
    """Where the first sending was split, no later part has more requests."""
    parts = state.submission.parts
    return max(part.requests for part in parts) if len(parts) > 1 else None


def write_round(
    reading: Reading, state: SubmissionState, action: PlanRound, cutter: PartCutter
) -> None:
    """Record a round, after the requests of its parts are stored.

    Where another process has recorded it, that one counts. `cutter` is new, with the numbers of the
    round. Raises StorageError, ManifestError, and OSError of the scratch disk.
    """
    with RequestTable(reading.scratch) as table:
        load_requests(reading, state.parts, table)
        withhold_resubmitted(reading, state.parts, table)
        resent = find_resent(reading, state.parts, state.policy, table)
        planned = _plan(reading, state, action, resent, cutter)
    with suppress(AlreadyStoredError):
        SubmissionRecords(reading.storage, state.submission.id).record_round(planned)


def find_resent(
    reading: Reading, parts: tuple[PartState, ...], policy: Policy, table: RequestTable
) -> Iterator[Resent]:
    """Each request that may be answered if it is sent again, as it is to be sent.

    They come in the order of the parts that they were last sent with.
    """
    numbers = frozenset(table.open_tries())
    for one in parts:
        if one.part.number not in numbers:
            continue
        member = key_member(load_part_manifest(reading.storage, one))
        for line in read_requests(reading, one):
            key = read_key(line, member)
            remedy = Remedy.NONE if key is None else table.remedy(one.part.number, key)
            if key is None or remedy is Remedy.NONE:
                continue
            fault = table.fault(key) if remedy is Remedy.EXPLAINED else None
            changed = _rewrite(line, remedy, policy, fault)
            if changed is not None:
                yield Resent(changed, remedy, one)


def _rewrite(line: bytes, remedy: Remedy, policy: Policy, fault: str | None) -> bytes | None:
    """None where nothing can change that has to."""
    match remedy:
        case Remedy.AGAIN:
            return line
        case Remedy.WIDER:
            return widen(line, policy.max_output_tokens)
        case _:
            return explain(line, fault) if policy.explain_invalid and fault else line


def _plan(
    reading: Reading,
    state: SubmissionState,
    action: PlanRound,
    resent: Iterator[Resent],
    cutter: PartCutter,
) -> Round:
    path, held_back = reading.scratch / "resent.jsonl", 0
    with path.open("wb") as file:
        for one in resent:
            request = cutter.weigh(0, one.line, as_object(_read_row(one.line).get("request")))
            is_sent = action.may_send and (not action.is_rescue or _is_left(one))
            if is_sent and cutter.find_problem(request) is None:
                cutter.add(request)
                file.write(one.line)
            else:
                held_back += 1

    # Embeddings have no such tier.
    is_flex = state.policy.rescue == "flex" and state.submission.spec.kind == "generate"
    parts = cutter.close()
    reading.check()
    round_alone = msgspec.structs.replace(state.submission, parts=parts)
    store_requests(reading.storage, path, round_alone)
    numbered = tuple(
        _as_of_round(part, "flex" if is_flex and action.is_rescue else "batch") for part in parts
    )
    # What a rescue leaves to the rounds after it is held back only where no such round is certain.
    return Round(action.number, action.is_rescue, numbered, 0 if parts else held_back)


def _is_left(one: Resent) -> bool:
    """Whether it is something that an overdue batch left when it was cancelled."""
    return one.last.is_cancelled and one.remedy is Remedy.AGAIN


def _as_of_round(part: Part, lane: Lane) -> Part:
    """Its requests come from all over the input."""
    return msgspec.structs.replace(part, offset=0, lane=lane)
