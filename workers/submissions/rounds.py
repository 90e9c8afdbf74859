"""Plans a round: the requests of a submission that may be answered if they are sent again.

Blocked requests and permanent errors are left out, and so is what was lost on the way, since it may
have been paid for.
"""

from collections.abc import Iterator
from contextlib import closing, suppress
from decimal import Decimal
from typing import NamedTuple

from receiver.errors import AlreadyStoredError
from receiver.submissions.decisions import PlanRound
from receiver.submissions.policy import Policy
from receiver.submissions.records import Round, SubmissionRecords
from receiver.submissions.state import PartState, SubmissionState
from receiver.submissions.submission import Lane, Part
from workers.store.batch_input import read_key
from workers.submissions.part_results import (
    Reading,
    key_member,
    load_part_manifest,
    load_requests,
    read_requests,
)
from workers.submissions.part_writer import PartLimits, PartPlace, PartWriter
from workers.submissions.request_table import Remedy, RequestTable
from workers.submissions.rewriting import GROWTH, explain, widen


class Resent(NamedTuple):
    """A request that is sent again."""

    line: bytes  # with its newline
    size_bytes: int  # of the line as it was before, or as it is, whatever is more
    remedy: Remedy
    last: PartState  # what it was sent with before


def plan_round(reading: Reading, state: SubmissionState, action: PlanRound) -> None:
    """Record a round, after the requests of its parts are stored.

    Where another process has recorded it, that one counts. Raises StorageError, ManifestError, and
    OSError of the scratch disk.
    """
    with RequestTable(reading.scratch) as table:
        load_requests(reading, state.parts, table)
        resent = find_resent(reading, state.parts, state.policy, table)
        planned = _plan(reading, state, action, resent)
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
                yield Resent(changed, max(len(line), len(changed)), remedy, one)


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
    reading: Reading, state: SubmissionState, action: PlanRound, resent: Iterator[Resent]
) -> Round:
    limits = PartLimits.of(state.submission)
    first = max(one.part.number for one in state.parts) + 1
    is_flex = action.is_rescue and state.policy.rescue == "flex"
    lane: Lane = "flex" if is_flex else "batch"
    held_back = 0
    place = PartPlace(first, action.number, lane)
    with closing(PartWriter(reading.storage, reading.scratch, place, limits)) as writer:
        for one in resent:
            if action.may_send and (not action.is_rescue or _is_left(one)):
                writer.add(one.line, *_scale_estimate(one))
            else:
                held_back += 1
        parts = writer.finish()
    # What a rescue leaves to the rounds after it is held back only where no such round is certain.
    return Round(action.number, action.is_rescue, parts, 0 if parts else held_back)


def _is_left(one: Resent) -> bool:
    """Whether it is something that an overdue batch left when it was cancelled."""
    return one.last.is_cancelled and one.remedy is Remedy.AGAIN


def _scale_estimate(one: Resent) -> tuple[int | None, Decimal | None]:
    """Tokens of the input and the most that it may cost, by its share of its last part."""
    part, size = one.last.part, one.size_bytes
    tokens = None if part.tokens is None else -(-part.tokens * size // part.size_bytes)
    return tokens, _scale_cost(part, size, one.remedy)


def _scale_cost(part: Part, size: int, remedy: Remedy) -> Decimal | None:
    if part.most_cost is None:
        return None
    share = max(Decimal(size) / part.size_bytes, Decimal(1) / part.requests)
    return part.most_cost * share * (GROWTH if remedy is Remedy.WIDER else 1)
