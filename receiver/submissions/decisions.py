"""What a submission does next: `plan_next`. Pure, so that a table of cases can hold it.

Whoever carries the actions out asks again afterwards, until all that is left is to wait or nothing.
Every action can be repeated: its records in the storage say whether it was carried out before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from receiver.submissions.state import (
    PartState,
    Room,
    RoundState,
    StopReason,
    SubmissionState,
)
from receiver.submissions.submission import Part

MAX_RESCUE_ROUNDS = 3
POLL_S = 600.0  # what no event tells, such as a batch that is overdue, is looked for this often


@dataclass(frozen=True)
class FindBatch:
    """Look for the batch that an earlier call may have created, and finish what followed it."""

    number: int


@dataclass(frozen=True)
class CreatePart:
    """Create its batch."""

    number: int


@dataclass(frozen=True)
class SendFlexPart:
    """Send its requests one by one, and store the results."""

    number: int
    may_send: bool = True  # False: only store what was answered so far


@dataclass(frozen=True)
class TellOverdue:
    """Enqueue a notice that its batch has not ended."""

    number: int


@dataclass(frozen=True)
class AskForEnd:
    """Ask Gemini if its batch has ended, or is gone: nobody else would hear of it."""

    number: int


@dataclass(frozen=True)
class CancelBatch:
    """Ask Gemini to cancel its batch; what it has is kept."""

    number: int


@dataclass(frozen=True)
class PlanRound:
    """Collect what may succeed if it is sent again, and record it as a round."""

    number: int
    is_rescue: bool
    may_send: bool  # False: only count what the policy forbids to send


@dataclass(frozen=True)
class Finish:
    """Write the answers and the manifest; a reason says why not every request has its chance."""

    reason: StopReason | None = None


@dataclass(frozen=True)
class Wait:
    """Nothing can be done before this time, unless an event comes first."""

    until: float  # Unix time in seconds
    why: str
    lacks_room: bool = False  # which what other submissions sent may free


Action = (
    FindBatch
    | CreatePart
    | SendFlexPart
    | TellOverdue
    | AskForEnd
    | CancelBatch
    | PlanRound
    | Finish
    | Wait
)


def plan_next(state: SubmissionState, now: float) -> list[Action]:
    """The actions of this moment, in their order; empty for a submission that is finished.

    `now` is Unix time in seconds.
    """
    if state.is_finished:
        return []
    running = [one for one in state.parts if one.is_sent and not one.is_over]
    unsent = [one for one in state.parts if not one.is_sent and not one.is_over]
    return [*_look_after(state, running, now), _go_on(state, running, unsent, now)]


def _go_on(
    state: SubmissionState, running: list[PartState], unsent: list[PartState], now: float
) -> Action:
    unsettled = [one for one in state.parts if one.is_unsettled]
    if unsettled:  # costs nothing; and until it is known, no cap and no order can be held
        return FindBatch(unsettled[0].part.number)
    if state.command == "cancel":
        return _end_cancelled(running, now)
    if state.command == "pause":
        return Wait(now + POLL_S, "it is paused: `submissions resume` goes on")
    ready = [*_begun(running), *unsent]
    if ready:
        return _send_or_wait(state, ready[0], running, now)
    if running:
        return Wait(_next_look(state, running, now), _describe_running(running))
    return _end_round(state)


def _look_after(
    state: SubmissionState, running: list[PartState], now: float
) -> Iterator[TellOverdue | AskForEnd | CancelBatch]:
    """Batches that have not ended in time, or that nobody wants any more."""
    policy = state.policy
    for one in running:
        if one.batch is None or one.part.lane == "flex" or one.waits_for_person:
            continue
        age_s = now - (now if one.sent_at is None else one.sent_at)
        if age_s >= policy.overdue_s and not one.is_told:
            yield TellOverdue(one.part.number)
        elif age_s >= policy.overdue_s and not one.is_listed:
            yield AskForEnd(one.part.number)
        if _is_unwanted(state, age_s) and not one.is_cancelled:
            yield CancelBatch(one.part.number)


def _is_unwanted(state: SubmissionState, age_s: float) -> bool:
    """Whether a batch is to be cancelled; a person who paused wants to look at it as it is."""
    limit_s = state.policy.rescue_after_s
    is_too_old = limit_s is not None and age_s >= limit_s
    return state.command == "cancel" or (is_too_old and state.command == "run")


def _end_cancelled(running: list[PartState], now: float) -> Action:
    """Keep what there is; what waits for a person is not waited for."""
    begun = _begun(running)
    if begun:
        return SendFlexPart(begun[0].part.number, may_send=False)
    ending = [one for one in running if not one.waits_for_person]
    if ending:
        return Wait(now + POLL_S, f"it is cancelled: {_describe_running(ending)}")
    return Finish("cancelled")


def _begun(running: list[PartState]) -> list[PartState]:
    """Parts whose requests are sent one by one, and some may be."""
    return [one for one in running if one.part.lane == "flex" and one.is_unsure]


def _send_or_wait(
    state: SubmissionState, one: PartState, running: list[PartState], now: float
) -> Action:
    part, room = one.part, state.room
    if one.is_unsure:  # its cost counts already
        return SendFlexPart(part.number)
    held = _find_cost_limit(state, part, running, now)
    if held is not None:
        return held
    if room.refused_until > now:
        words = "Gemini refused to enqueue more for now"
        return Wait(_next_look(state, running, now, room.refused_until), words)
    if why := _find_lack(part, room):
        return Wait(_next_look(state, running, now), why, lacks_room=True)
    return SendFlexPart(part.number) if part.lane == "flex" else CreatePart(part.number)


def _find_cost_limit(
    state: SubmissionState, part: Part, running: list[PartState], now: float
) -> Action | None:
    """What follows where a part might pass a cap; None where it passes none."""
    room, max_cost = state.room, state.policy.max_cost
    if part.most_cost is None and not state.policy.allow_unknown_cost and _is_capped(state):
        return _hold(running, now, f"nobody knows what part {part.number} may cost at most")

    most = part.most_cost or Decimal(0)
    if max_cost is not None and _spent(state) + most > max_cost:
        left = max_cost - _spent(state)
        words = f"part {part.number} may cost ${most:f}, and ${left:f} of --max-cost is left"
        return _hold(running, now, words)
    if room.day_cap is not None and most > room.day_cap:
        words = f"part {part.number} may cost ${most:f}, and a day's cap is ${room.day_cap:f}"
        return _hold(running, now, words)
    if room.day_budget is not None and most > room.day_budget:
        words = f"part {part.number} may cost ${most:f}, and ${room.day_budget:f} is left today"
        return Wait(_next_look(state, running, now, room.day_ends), words, lacks_room=True)
    return None


def _is_capped(state: SubmissionState) -> bool:
    return state.policy.max_cost is not None or state.room.day_budget is not None


def _spent(state: SubmissionState) -> Decimal:
    """What the parts that were sent cost, or may cost at most."""
    costs = (one.counted_cost for one in state.parts if one.is_sent or one.is_over)
    return sum((cost for cost in costs if cost is not None), Decimal(0))


def _hold(running: list[PartState], now: float, why: str) -> Action:
    """What runs may turn out cheaper than it could have been; without it, the budget is spent."""
    return Wait(now + POLL_S, why) if running else Finish("budget")


def _find_lack(part: Part, room: Room) -> str | None:
    """Which limit of Gemini is in the way; None if none is."""
    if part.lane == "flex":
        return None
    if room.batches < 1:
        return "the project has as many batches under way as Gemini allows"
    if part.size_bytes > room.file_bytes:
        return "the project's files take as much as Gemini allows"
    if room.tokens is not None and (part.tokens or 0) > room.tokens:
        tokens, left = part.tokens or 0, max(0, room.tokens)
        return f"part {part.number} has about {tokens:,} tokens, and {left:,} may be enqueued now"
    return None


def _next_look(
    state: SubmissionState, running: list[PartState], now: float, at: float | None = None
) -> float:
    """When time alone may change something: at a moment, or when a batch is overdue."""
    policy = state.policy
    limits = [policy.overdue_s, policy.rescue_after_s]
    ends = [
        one.sent_at + limit
        for one in running
        if one.sent_at is not None
        for limit in limits
        if limit is not None
    ]
    moments = [moment for moment in (at, *ends) if moment is not None and moment > now]
    return min([now + POLL_S, *moments])


def _describe_running(running: list[PartState]) -> str:
    held = [one for one in running if one.waits_for_person]
    if held:
        return f"{held[0].batch} waits for a person: {held[0].waits_for_person}"
    return f"{len(running)} {'batch is' if len(running) == 1 else 'batches are'} under way"


def _end_round(state: SubmissionState) -> PlanRound | Finish:
    """Every part is over: plan what follows, unless the last plan found nothing to do."""
    last = state.rounds[-1] if state.rounds else None
    regular = sum(not one.is_rescue for one in state.rounds if one.parts)
    is_rescue = _leaves_rescue(state, last)
    may_send = is_rescue or regular < state.policy.rounds

    if last is not None and not last.parts and not (last.held_back and may_send):
        return Finish("rounds" if last.held_back else _lost(state))
    return PlanRound(len(state.rounds) + 1, is_rescue, may_send)


def _leaves_rescue(state: SubmissionState, last: RoundState | None) -> bool:
    """Whether the last sending had an overdue batch cancelled."""
    number = last.number if last else 0
    rescued = sum(one.is_rescue for one in state.rounds)
    is_left = any(one.is_cancelled for one in state.parts if one.part.round == number)
    return is_left and rescued < MAX_RESCUE_ROUNDS


def _lost(state: SubmissionState) -> StopReason | None:
    return "lost" if any(one.lost for one in state.parts) else None
