"""What holds of `plan_next` whatever happens: caps, create-once, pauses, and that it ends."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.submissions.decisions import (
    Action,
    AskForEnd,
    CancelBatch,
    CreatePart,
    FindBatch,
    Finish,
    PlanRound,
    SendFlexPart,
    TellOverdue,
    Wait,
    plan_next,
)
from receiver.submissions.policy import Command, Policy
from receiver.submissions.state import PartState, Room, RoundState, SubmissionState
from receiver.submissions.submission import Part
from tests.receiver.submissions.test_decisions import SUBMISSION

RANDOM_STEPS = 40
CALM_STEPS = 400  # far more than all parts and rounds of a case take
costs = st.sampled_from([Decimal(1), Decimal(2), Decimal(3)])


def new_part(number: int, round_number: int, draw: Any, lane: str = "batch") -> PartState:
    most = draw(st.sampled_from([None, Decimal(1), Decimal(1), Decimal(2)]))
    tokens = draw(st.none() | st.integers(0, 50))
    part = Part(number, 1, 0, 10, 3, "ab", round_number, tokens, most)
    return PartState(part=msgspec.structs.replace(part, lane=lane))


@dataclass
class World:
    """One submission, Gemini and a person, as far as a decision sees them."""

    draw: Any
    policy: Policy
    parts: list[PartState]
    rounds: list[RoundState] = field(default_factory=list)
    command: Command = "run"
    room: Room = field(default_factory=Room)
    now: float = 1_000_000.0
    is_finished: bool = False
    is_calm: bool = False  # nothing bad happens any more

    def state(self) -> SubmissionState:
        return SubmissionState(
            submission=SUBMISSION,
            policy=self.policy,
            command=self.command,
            parts=tuple(self.parts),
            rounds=tuple(self.rounds),
            room=self.room,
            is_finished=self.is_finished,
        )

    def step(self) -> None:
        """Ask once, and do what is asked."""
        actions = plan_next(self.state(), self.now)
        assert actions
        assert all(isinstance(one, TellOverdue | AskForEnd | CancelBatch) for one in actions[:-1])
        for action in actions:
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        match action:
            case FindBatch(number):
                self.find(number)
            case CreatePart(number):
                self.create(number)
            case SendFlexPart(number, may_send):
                self.send_flex(number, may_send=may_send)
            case TellOverdue(number):
                assert not self.parts[number - 1].is_told
                self.change(number, is_told=True)
            case AskForEnd(number):
                assert self.parts[number - 1].is_told
            case CancelBatch(number):
                assert not self.parts[number - 1].is_cancelled
                assert self.command != "pause"
                self.change(number, is_cancelled=True)
            case PlanRound():
                self.plan(action)
            case Finish():
                assert self.command != "pause"
                assert not any(one.is_sent and self.may_end(one) for one in self.parts)
                self.is_finished = True
            case Wait(until):
                assert until > self.now
                self.live(until)

    def may_end(self, one: PartState) -> bool:
        return not one.is_over and not (self.command == "cancel" and one.waits_for_person)

    def change(self, number: int, **fields: Any) -> None:
        self.parts[number - 1] = msgspec.structs.replace(self.parts[number - 1], **fields)

    def find(self, number: int) -> None:
        one = self.parts[number - 1]
        assert one.part.lane == "batch"
        if one.batch is not None:
            assert not one.is_kept
            self.change(number, is_kept=True)
        elif self.draw(st.booleans()):
            self.change(number, batch=f"batches/b{number}", is_unsure=False, sent_at=self.now)
        else:
            self.change(number, is_unsure=False)

    def create(self, number: int) -> None:
        one = self.parts[number - 1]
        assert one.part.lane == "batch"
        self.check_sending(one)
        assert not one.is_sent, "it was created before"
        assert all(other.is_sent or other.is_over for other in self.parts[: number - 1])
        outcome = (
            "created" if self.is_calm else self.draw(st.sampled_from(["created", "unsure", "429"]))
        )
        if outcome == "429":
            self.room = msgspec.structs.replace(self.room, refused_until=self.now + 60)
        elif outcome == "unsure":
            self.change(number, is_unsure=True)
        else:
            is_kept = self.is_calm or self.draw(st.booleans())
            name = f"batches/b{number}"
            self.change(number, batch=name, sent_at=self.now, is_kept=is_kept)

    def send_flex(self, number: int, *, may_send: bool) -> None:
        one = self.parts[number - 1]
        assert one.part.lane == "flex"
        assert may_send or self.command == "cancel"
        if may_send and not one.is_unsure:
            self.check_sending(one)
        if may_send and not self.is_calm and self.draw(st.booleans()):
            self.change(number, is_unsure=True)
        else:
            self.end(number, is_unsure=False)

    def check_sending(self, one: PartState) -> None:
        """A person has not stopped it, and no cap can be passed by it."""
        assert self.command == "run"
        known = [other.counted_cost for other in self.parts if other.is_sent or other.is_over]
        spent = sum((cost for cost in known if cost is not None), Decimal(0))
        most = one.part.most_cost
        if most is None:
            is_capped = self.policy.max_cost is not None or self.room.day_budget is not None
            assert self.policy.allow_unknown_cost or not is_capped
            return
        assert self.policy.max_cost is None or spent + most <= self.policy.max_cost
        assert self.room.day_budget is None or most <= self.room.day_budget
        if one.part.lane == "batch":
            assert self.room.refused_until <= self.now
            assert self.room.tokens is None or (one.part.tokens or 0) <= self.room.tokens

    def plan(self, action: PlanRound) -> None:
        assert action.number == len(self.rounds) + 1
        assert all(one.is_over for one in self.parts)
        count = self.draw(st.integers(0, 2)) if action.may_send else 0
        held_back = 0 if count else self.draw(st.integers(0, 1))
        lane = self.policy.rescue if action.is_rescue else "batch"
        first = len(self.parts) + 1
        self.parts += [
            new_part(first + one, action.number, self.draw, lane) for one in range(count)
        ]
        self.rounds.append(RoundState(action.number, action.is_rescue, count, held_back))

    def end(self, number: int, **fields: Any) -> None:
        """Its results are stored; what it cost is no more than it could."""
        most = self.parts[number - 1].part.most_cost
        cost = None if most is None else most * self.draw(st.sampled_from([0, 1])) / 2
        batch = f"batches/b{number}"
        self.change(number, batch=batch, is_stored=True, cost=cost, waits_for_person=None, **fields)

    def live(self, until: float) -> None:
        """What happens until then, or before."""
        for number, one in enumerate(self.parts, 1):
            if one.batch is None or one.is_over:
                continue
            fate = (
                "end" if self.is_calm else self.draw(st.sampled_from(["end", "", "lost", "buried"]))
            )
            if fate == "end":
                self.end(number)
            elif fate == "lost":
                self.change(number, lost="its results are gone")
            elif fate == "buried":
                self.change(number, waits_for_person="no such batch")
        if self.is_calm:
            self.now = until
        else:
            self.now += (until - self.now) * self.draw(st.sampled_from([0.5, 1.0]))
            self.now += self.draw(st.sampled_from([0.0, 90_000.0]))
            self.command = self.draw(st.sampled_from(["run"] * 6 + ["pause", "cancel"]))
            self.room = self.draw_room()

    def draw_room(self) -> Room:
        """One thing at a time is scarce."""
        match self.draw(st.sampled_from(["", "tokens", "batches", "bytes", "day", "day", "429"])):
            case "tokens":
                return Room(tokens=self.draw(st.integers(-5, 60)))
            case "batches":
                return Room(batches=self.draw(st.integers(0, 1)))
            case "bytes":
                return Room(file_bytes=5)
            case "day":
                cap, ends = self.draw(costs), self.now + self.draw(st.floats(1, 86_400))
                return Room(
                    day_cap=cap, day_budget=cap * self.draw(st.sampled_from([0, 1])), day_ends=ends
                )
            case "429":
                return Room(refused_until=self.now + self.draw(st.sampled_from([0.0, 60.0])))
        return Room()


policies = st.builds(
    Policy,
    rounds=st.integers(0, 2),
    max_cost=st.sampled_from([None, Decimal(0), Decimal(2), Decimal(3)]),
    allow_unknown_cost=st.booleans(),
    rescue_after_s=st.none() | st.just(100_000.0),
    rescue=st.sampled_from(["batch", "flex"]),
)


@settings(max_examples=300)
@given(st.data(), policies, st.integers(1, 5))
def test_no_cap_is_passed_and_it_ends(data: st.DataObject, policy: Policy, count: int) -> None:
    parts = [new_part(number, 0, data.draw) for number in range(1, count + 1)]
    world = World(data.draw, policy, parts)
    world.room = world.draw_room()
    for _ in range(RANDOM_STEPS):
        if not world.is_finished:
            world.step()

    world.is_calm, world.room = True, Room()
    world.command = "cancel" if world.command == "cancel" else "run"
    for _ in range(CALM_STEPS):
        if not world.is_finished:
            world.step()
    assert world.is_finished
    assert plan_next(world.state(), world.now) == []
