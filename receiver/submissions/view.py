"""Where a submission stands, for people and programs that look at it."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from typing import Literal

import msgspec

from receiver.batch_names import BatchName, SubmissionName
from receiver.inbox.entries import Entry
from receiver.submissions.policy import Policy
from receiver.submissions.proof import SubmissionManifest
from receiver.submissions.state import REASONS, PartState, RoundState, StopReason, SubmissionState
from receiver.submissions.submission import Estimate, Lane, Submission

Phase = Literal["waiting", "running", "paused", "cancelling", "buried", "completed", "stopped"]
PartPhase = Literal["not sent", "being sent", "at Gemini", "buried", "stored", "lost"]
ENDED: frozenset[Phase] = frozenset({"completed", "stopped"})
UNLISTED = "the inbox does not know it: the next reconcile run finds it"


class PartView(msgspec.Struct, frozen=True, kw_only=True):
    """One part: the requests of one batch."""

    number: int
    round: int  # 0: the first sending
    lane: Lane
    requests: int
    tokens: int | None
    state: PartPhase
    why: str | None  # it is buried or lost
    batch: str | None  # its name in the inbox
    is_cancelled: bool
    is_overdue: bool
    answered: int | None  # of a stored one
    cost: Decimal | None  # in US dollars, of a stored one; None where unknown
    most_cost: Decimal | None
    gemini: str | None = None  # what Gemini says of the batch; None where it was not asked
    done: int | None = None  # requests that Gemini has done


class SubmissionView(msgspec.Struct, frozen=True, kw_only=True):
    """One submission. Costs are in US dollars."""

    submission: str  # its name in the inbox
    id: str
    project: str  # empty for the default project
    display_name: str
    file: str
    model: str
    submitted_at: float  # Unix time in seconds; 0 where an earlier version did not say
    state: Phase
    why: str | None  # what it waits for, or why it stopped
    reason: StopReason | None  # of a stopped one
    requests: int
    answered: int  # so far, of the batches that are stored
    parts: list[PartView]  # of all rounds
    rounds: int  # that were sent after the first sending
    cost: Decimal | None  # so far; None where one of the stored batches has no known cost
    most_cost: Decimal | None  # of all that was sent, once it is done; None where unknown
    estimate: Estimate | None  # before it was sent
    policy: Policy

    @property
    def is_ended(self) -> bool:
        return self.state in ENDED

    @property
    def needs_person(self) -> bool:
        """Whether it goes on only after somebody has removed a cause."""
        unstored = {one.state for one in self.parts} - {"stored", "lost"}
        return not self.is_ended and (self.state == "buried" or unstored == {"buried"})

    @property
    def is_well(self) -> bool:
        """Whether every request is answered."""
        return self.is_ended and self.answered == self.requests

    @property
    def resume_options(self) -> str:
        """What `submissions resume` needs to go on with one that stopped at a limit.

        Empty, or with a space before it.
        """
        match self.reason:
            case "rounds":
                return f" --rounds {self.policy.rounds + 1}"
            case "budget":
                return f" --max-cost {self._find_enough()}"
            case _:
                return ""

    def _find_enough(self) -> str:
        """A limit, in US dollars, that everything planned so far keeps; `none` if unknown."""
        unsent = _add(one.most_cost for one in self.parts if one.state == "not sent")
        if unsent is None or self.most_cost is None:
            return "none"
        enough = (self.most_cost + unsent).quantize(Decimal("0.01"), ROUND_CEILING)
        return str(enough) if enough > (self.policy.max_cost or 0) else "none"

    @property
    def sent(self) -> int:
        """Parts that were sent."""
        return sum(one.state not in {"not sent", "being sent"} for one in self.parts)


def view_submission(
    state: SubmissionState, entry: Entry | None, manifest: SubmissionManifest | None
) -> SubmissionView:
    """Put together what its records, its entry in the ledger and its manifest say."""
    submission, spec = state.submission, state.submission.spec
    ended = manifest if state.is_finished else None
    parts = [_view_part(one, spec.project) for one in state.parts]
    phase, why = _find_phase(state, entry, ended)
    answered = sum(one.answered or 0 for one in parts)
    return SubmissionView(
        submission=str(SubmissionName(spec.project, submission.id)),
        id=submission.id,
        project=spec.project,
        display_name=spec.display_name,
        file=submission.file,
        model=spec.model,
        submitted_at=submission.submitted_at,
        state=phase,
        why=why,
        reason=ended.reason if ended else None,
        requests=submission.requests,
        answered=ended.answered if ended else min(answered, submission.requests),
        parts=parts,
        rounds=_count_sent(state.rounds),
        cost=_add(one.cost for one in parts if one.state == "stored"),
        most_cost=_add(one.counted_cost for one in state.parts if one.is_sent or one.is_over),
        estimate=submission.estimate,
        policy=state.policy,
    )


def view_plan(submission: Submission, policy: Policy) -> SubmissionView:
    """One that no worker has looked at."""
    parts = tuple(PartState(part=part) for part in submission.parts)
    return view_submission(
        SubmissionState(submission=submission, policy=policy, parts=parts), None, None
    )


def _find_phase(
    state: SubmissionState, entry: Entry | None, ended: SubmissionManifest | None
) -> tuple[Phase, str | None]:
    if ended is not None:
        return ended.state, REASONS.get(ended.reason) if ended.reason else None
    why = entry.cause if entry else UNLISTED
    if entry is not None and entry.state == "buried":
        return "buried", why
    if state.command != "run":
        return "paused" if state.command == "pause" else "cancelling", why or None
    is_running = any(one.batch is not None and not one.is_over for one in state.parts)
    return "running" if is_running else "waiting", why or None


def _view_part(one: PartState, project: str) -> PartView:
    part = one.part
    return PartView(
        number=part.number,
        round=part.round,
        lane=part.lane,
        requests=part.requests,
        tokens=part.tokens,
        state=_find_part_phase(one),
        why=one.lost or one.waits_for_person,
        batch=one.batch and str(BatchName.read(one.batch, project)),
        is_cancelled=one.is_cancelled,
        is_overdue=one.is_told and not one.is_over,
        answered=one.answered if one.is_stored else None,
        cost=one.cost,
        most_cost=part.most_cost,
    )


def _find_part_phase(one: PartState) -> PartPhase:
    if one.is_stored:
        return "stored"
    if one.lost is not None:
        return "lost"
    if one.waits_for_person is not None:
        return "buried"
    if one.batch is not None:
        return "at Gemini"
    return "being sent" if one.is_unsure else "not sent"


def _count_sent(rounds: Iterable[RoundState]) -> int:
    return sum(one.parts > 0 for one in rounds)


def _add(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Their sum; None where one is not known."""
    known = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        known += cost
    return known
