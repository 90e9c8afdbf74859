"""What comes next for a submission, as a table of cases: state and moment in, actions out."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from receiver.submissions.decisions import (
    MAX_RESCUE_ROUNDS,
    POLL_S,
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
from receiver.submissions.policy import DAY_S, Policy
from receiver.submissions.state import PartState, Room, RoundState, SubmissionState
from receiver.submissions.submission import Part, Submission, SubmissionSpec

NOW = 1_000_000.0
POLL = NOW + POLL_S
SPEC = SubmissionSpec(
    project="",
    model="gemini-3.5-flash",
    kind="generate",
    inline=False,
    display_name="evening",
    is_named=True,
    webhook=None,
    metadata={},
    retry_of=None,
    sha256="",
)
SUBMISSION = Submission("5d41402abc4b2a76b971", SPEC, "requests.jsonl", 9, ())
HOUR_S = 3600.0


def part(number: int = 1, **fields: Any) -> Part:
    return msgspec.structs.replace(Part(number, 1, 0, 1000, 3, "ab"), **fields)


def unsent(number: int = 1, **fields: Any) -> PartState:
    return PartState(part=part(number, **fields))


def running(number: int = 1, age_s: float = HOUR_S, **fields: Any) -> PartState:
    about = {name: fields.pop(name) for name in list(fields) if name in Part.__struct_fields__}
    sent_at = NOW - age_s
    return PartState(
        part=part(number, **about), batch=f"batches/b{number}", sent_at=sent_at, **fields
    )


def stored(number: int = 1, cost: Decimal | None = None, **fields: Any) -> PartState:
    about = {name: fields.pop(name) for name in list(fields) if name in Part.__struct_fields__}
    return PartState(
        part=part(number, **about),
        batch=f"batches/b{number}",
        is_stored=True,
        cost=cost,
        **fields,
    )


def unsure(number: int = 1, **fields: Any) -> PartState:
    return PartState(part=part(number, **fields), is_unsure=True)


def buried(number: int = 1) -> PartState:
    return running(number, waits_for_person="no such batch")


def lost(number: int = 1, **fields: Any) -> PartState:
    return running(number, lost="its results are gone", **fields)


def capped(dollars: str | None = None, **fields: Any) -> Policy:
    return Policy(max_cost=None if dollars is None else Decimal(dollars), **fields)


def wait(why: str, until: float = POLL) -> list[Action]:
    return [Wait(until, why)]


def lack(why: str, until: float = POLL) -> list[Action]:
    """A wait that ends when what others have sent leaves room."""
    return [Wait(until, why, lacks_room=True)]


ONE_RUNS = wait("1 batch is under way")
TWO = Decimal(2)

# name: parts, what else the state has, and the actions
CASES: dict[str, tuple[list[PartState], dict[str, Any], list[Action]]] = {
    # the usual way
    "the first part is created first": ([unsent(1), unsent(2)], {}, [CreatePart(1)]),
    "then the next": ([running(1), unsent(2)], {}, [CreatePart(2)]),
    "what runs is waited for": ([running(1)], {}, ONE_RUNS),
    "also several": ([running(1), running(2), stored(3)], {}, wait("2 batches are under way")),
    "a finished one has nothing to do": ([unsent(1)], {"is_finished": True}, []),
    # unsettled calls come before everything that is sent
    "an unsure call is looked into": ([unsure(1), unsent(2)], {}, [FindBatch(1)]),
    "the first of several": ([running(1), unsure(2), unsure(3)], {}, [FindBatch(2)]),
    "also while paused": ([unsure(1)], {"command": "pause"}, [FindBatch(1)]),
    "also when cancelled": ([unsure(1)], {"command": "cancel"}, [FindBatch(1)]),
    "an input that is not kept is kept": ([running(1, is_kept=False)], {}, [FindBatch(1)]),
    "also that of a stored one, which may be waited for": (
        [stored(1, is_kept=False), unsent(2)],
        {},
        [FindBatch(1)],
    ),
    # a person's word
    "paused creates nothing": (
        [unsent(1)],
        {"command": "pause"},
        wait("it is paused: `submissions resume` goes on"),
    ),
    "paused plans nothing": (
        [stored(1)],
        {"command": "pause"},
        wait("it is paused: `submissions resume` goes on"),
    ),
    "paused still tells": (
        [running(1, DAY_S)],
        {"command": "pause"},
        [TellOverdue(1), *wait("it is paused: `submissions resume` goes on")],
    ),
    "paused cancels nothing": (
        [running(1, HOUR_S)],
        {"command": "pause", "policy": Policy(rescue_after_s=HOUR_S)},
        wait("it is paused: `submissions resume` goes on"),
    ),
    "cancelled before anything was sent": (
        [unsent(1)],
        {"command": "cancel"},
        [Finish("cancelled")],
    ),
    "cancelled cancels what runs, young or not": (
        [running(1, 0.0), unsent(2)],
        {"command": "cancel"},
        [CancelBatch(1), *wait("it is cancelled: 1 batch is under way")],
    ),
    "and waits for what it has": (
        [running(1, is_cancelled=True)],
        {"command": "cancel"},
        wait("it is cancelled: 1 batch is under way"),
    ),
    "and then ends": ([stored(1), unsent(2)], {"command": "cancel"}, [Finish("cancelled")]),
    "cancelled waits for no person": (
        [stored(1), buried(2)],
        {"command": "cancel"},
        [Finish("cancelled")],
    ),
    "but for the others": (
        [running(1, is_cancelled=True), buried(2)],
        {"command": "cancel"},
        wait("it is cancelled: 1 batch is under way"),
    ),
    # batches that do not end
    "a batch of a day is told of": ([running(1, DAY_S)], {}, [TellOverdue(1), *ONE_RUNS]),
    "once": ([running(1, DAY_S, is_told=True)], {}, ONE_RUNS),
    "a batch that the inbox forgot is asked for": (
        [running(1, DAY_S, is_told=True, is_listed=False)],
        {},
        [AskForEnd(1), *ONE_RUNS],
    ),
    "not before its day is over": (
        [running(1, DAY_S - POLL_S - 1, is_listed=False)],
        {},
        ONE_RUNS,
    ),
    "not before": ([running(1, DAY_S - POLL_S - 1)], {}, ONE_RUNS),
    "it is looked at when it becomes one": (
        [running(1, DAY_S - 5)],
        {},
        wait("1 batch is under way", NOW + 5),
    ),
    "an own limit counts": (
        [running(1, HOUR_S)],
        {"policy": Policy(overdue_s=HOUR_S)},
        [TellOverdue(1), *ONE_RUNS],
    ),
    "no rescue without its word": (
        [running(1, 9 * DAY_S, is_told=True)],
        {},
        ONE_RUNS,
    ),
    "a rescue cancels": (
        [running(1, HOUR_S)],
        {"policy": Policy(rescue_after_s=HOUR_S)},
        [CancelBatch(1), *ONE_RUNS],
    ),
    "not before its time": (
        [running(1, HOUR_S - 5)],
        {"policy": Policy(rescue_after_s=HOUR_S)},
        wait("1 batch is under way", NOW + 5),
    ),
    "once, too": (
        [running(1, HOUR_S, is_cancelled=True)],
        {"policy": Policy(rescue_after_s=HOUR_S)},
        ONE_RUNS,
    ),
    "both at once": (
        [running(1, 2 * DAY_S)],
        {"policy": Policy(rescue_after_s=DAY_S)},
        [TellOverdue(1), CancelBatch(1), *ONE_RUNS],
    ),
    "nobody knows since when": (
        [PartState(part=part(1), batch="batches/b1")],
        {"policy": Policy(rescue_after_s=HOUR_S)},
        ONE_RUNS,
    ),
    "sent when time began": (
        [running(1, NOW)],
        {"policy": Policy(overdue_s=NOW + 7)},
        wait("1 batch is under way", NOW + 7),
    ),
    "what waits for a person is left alone": (
        [running(1, 9 * DAY_S, waits_for_person="no such batch")],
        {"policy": Policy(rescue_after_s=HOUR_S)},
        wait("batches/b1 waits for a person: no such batch"),
    ),
    "the others go on meanwhile": ([buried(1), unsent(2)], {}, [CreatePart(2)]),
    "a batch that is stored is not overdue": (
        [stored(1, sent_at=0.0), running(2)],
        {"policy": Policy(rescue_after_s=HOUR_S * 2)},
        ONE_RUNS,
    ),
    # the cap of the submission
    "as much as the cap is sent": (
        [running(1, most_cost=TWO), unsent(2, most_cost=TWO)],
        {"policy": capped("4")},
        [CreatePart(2)],
    ),
    "what would pass the cap waits for what runs": (
        [running(1, most_cost=TWO), unsent(2, most_cost=TWO)],
        {"policy": capped("3.5")},
        wait("part 2 may cost $2, and $1.5 of --max-cost is left"),
    ),
    "what was cheap leaves room": (
        [stored(1, Decimal("0.5"), most_cost=TWO), unsent(2, most_cost=TWO)],
        {"policy": capped("3.5")},
        [CreatePart(2)],
    ),
    "an unknown cost counts as the most": (
        [stored(1, most_cost=TWO), unsent(2, most_cost=TWO)],
        {"policy": capped("3.5")},
        [Finish("budget")],
    ),
    "so does what is lost": (
        [lost(1, most_cost=TWO), unsent(2, most_cost=TWO)],
        {"policy": capped("3.5")},
        [Finish("budget")],
    ),
    "the cap ends it when nothing runs": (
        [unsent(1, most_cost=TWO)],
        {"policy": capped("1")},
        [Finish("budget")],
    ),
    "a cap needs a known cost": ([unsent(1)], {"policy": capped("1")}, [Finish("budget")]),
    "or a word": (
        [unsent(1)],
        {"policy": capped("1", allow_unknown_cost=True)},
        [CreatePart(1)],
    ),
    "which then counts nothing": (
        [unsent(1)],
        {"policy": capped("0", allow_unknown_cost=True)},
        [CreatePart(1)],
    ),
    "with something under way it waits": (
        [running(1), unsent(2)],
        {"policy": capped("1")},
        wait("nobody knows what part 2 may cost at most"),
    ),
    "what ran at an unknown cost counts nothing": (
        [running(1), unsent(2, most_cost=TWO)],
        {"policy": capped("2", allow_unknown_cost=True)},
        [CreatePart(2)],
    ),
    # the cap of the day
    "the day's budget is used up to its end": (
        [unsent(1, most_cost=TWO)],
        {"room": Room(day_budget=TWO, day_cap=Decimal(5), day_ends=NOW + 9)},
        [CreatePart(1)],
    ),
    "it waits for the next day": (
        [unsent(1, most_cost=TWO)],
        {"room": Room(day_budget=Decimal(1), day_cap=Decimal(5), day_ends=NOW + 9)},
        lack("part 1 may cost $2, and $1 is left today", NOW + 9),
    ),
    "and looks again before": (
        [unsent(1, most_cost=TWO)],
        {"room": Room(day_budget=Decimal(1), day_cap=Decimal(5), day_ends=NOW + DAY_S)},
        lack("part 1 may cost $2, and $1 is left today"),
    ),
    "one that takes a whole day is sent": (
        [unsent(1, most_cost=TWO)],
        {"room": Room(day_budget=TWO, day_cap=TWO, day_ends=NOW + 9)},
        [CreatePart(1)],
    ),
    "no day is large enough": (
        [unsent(1, most_cost=TWO)],
        {"room": Room(day_budget=Decimal(1), day_cap=Decimal(1), day_ends=NOW + 9)},
        [Finish("budget")],
    ),
    "nor for what runs": (
        [running(1), unsent(2, most_cost=TWO)],
        {"room": Room(day_budget=Decimal(1), day_cap=Decimal(1), day_ends=NOW + 9)},
        wait("part 2 may cost $2, and a day's cap is $1"),
    ),
    "the day's cap needs a known cost": (
        [unsent(1)],
        {"room": Room(day_budget=Decimal(1), day_cap=Decimal(1), day_ends=NOW + 9)},
        [Finish("budget")],
    ),
    # Gemini's limits
    "after a refusal nothing is created": (
        [unsent(1)],
        {"room": Room(refused_until=NOW + 60)},
        wait("Gemini refused to enqueue more for now", NOW + 60),
    ),
    "until its pause is over": ([unsent(1)], {"room": Room(refused_until=NOW)}, [CreatePart(1)]),
    "too many tokens": (
        [unsent(1, tokens=3_000)],
        {"room": Room(tokens=2_999)},
        lack("part 1 has about 3,000 tokens, and 2,999 may be enqueued now"),
    ),
    "a debt of tokens is none": (
        [unsent(1, tokens=1)],
        {"room": Room(tokens=-5)},
        lack("part 1 has about 1 tokens, and 0 may be enqueued now"),
    ),
    "what nobody counted waits for a debt too": (
        [unsent(1)],
        {"room": Room(tokens=-5)},
        lack("part 1 has about 0 tokens, and 0 may be enqueued now"),
    ),
    "just enough tokens": ([unsent(1, tokens=9)], {"room": Room(tokens=9)}, [CreatePart(1)]),
    "tokens that nobody counted": ([unsent(1)], {"room": Room(tokens=0)}, [CreatePart(1)]),
    "no limit of tokens": ([unsent(1, tokens=10**12)], {"room": Room()}, [CreatePart(1)]),
    "too many batches": (
        [unsent(1)],
        {"room": Room(batches=0)},
        lack("the project has as many batches under way as Gemini allows"),
    ),
    "one more batch": ([unsent(1)], {"room": Room(batches=1)}, [CreatePart(1)]),
    "too many bytes": (
        [unsent(1)],
        {"room": Room(file_bytes=999)},
        lack("the project's files take as much as Gemini allows"),
    ),
    "just enough bytes": ([unsent(1)], {"room": Room(file_bytes=1000)}, [CreatePart(1)]),
    "a wait ends when a batch is overdue": (
        [running(1, DAY_S - 5), unsent(2)],
        {"room": Room(batches=0)},
        lack("the project has as many batches under way as Gemini allows", NOW + 5),
    ),
    # one by one
    "a part of the flex lane is sent one by one": (
        [unsent(1, lane="flex")],
        {},
        [SendFlexPart(1)],
    ),
    "whatever the batches' limits are": (
        [unsent(1, lane="flex", tokens=5)],
        {"room": Room(batches=0, tokens=0, file_bytes=0)},
        [SendFlexPart(1)],
    ),
    "but not at any cost": (
        [unsent(1, lane="flex", most_cost=TWO)],
        {"policy": capped("1")},
        [Finish("budget")],
    ),
    "it is finished before others begin": (
        [unsent(1), unsure(2, lane="flex")],
        {},
        [SendFlexPart(2)],
    ),
    "its cost counts from its beginning": (
        [unsure(1, lane="flex", most_cost=TWO)],
        {"policy": capped("1")},
        [SendFlexPart(1)],
    ),
    "it is never overdue": (
        [running(1, 9 * DAY_S, lane="flex")],
        {"policy": Policy(rescue_after_s=HOUR_S)},
        ONE_RUNS,
    ),
    "paused stops it": (
        [unsure(1, lane="flex")],
        {"command": "pause"},
        wait("it is paused: `submissions resume` goes on"),
    ),
    "cancelled keeps what it has": (
        [unsure(1, lane="flex")],
        {"command": "cancel"},
        [SendFlexPart(1, may_send=False)],
    ),
    # rounds
    "when all is stored, a round is planned": (
        [stored(1), stored(2)],
        {},
        [PlanRound(1, is_rescue=False, may_send=True)],
    ),
    "without rounds it is only counted": (
        [stored(1)],
        {"policy": Policy(rounds=0)},
        [PlanRound(1, is_rescue=False, may_send=False)],
    ),
    "a round that had parts is followed by another": (
        [stored(1), stored(2, round=1)],
        {"rounds": (RoundState(1, is_rescue=False, parts=1),)},
        [PlanRound(2, is_rescue=False, may_send=True)],
    ),
    "as many as the policy allows": (
        [stored(1), stored(2, round=1)],
        {"rounds": (RoundState(1, is_rescue=False, parts=1),), "policy": Policy(rounds=1)},
        [PlanRound(2, is_rescue=False, may_send=False)],
    ),
    "nothing left to send is the end": (
        [stored(1)],
        {"rounds": (RoundState(1, is_rescue=False, parts=0),)},
        [Finish()],
    ),
    "what the policy held back is said": (
        [stored(1)],
        {
            "rounds": (RoundState(1, is_rescue=False, parts=0, held_back=2),),
            "policy": Policy(rounds=0),
        },
        [Finish("rounds")],
    ),
    "more rounds go on": (
        [stored(1)],
        {
            "rounds": (RoundState(1, is_rescue=False, parts=0, held_back=2),),
            "policy": Policy(rounds=1),
        },
        [PlanRound(2, is_rescue=False, may_send=True)],
    ),
    "empty rounds count as none": (
        [stored(1), stored(2, round=2)],
        {
            "rounds": (
                RoundState(1, is_rescue=False, parts=0, held_back=2),
                RoundState(2, is_rescue=False, parts=1),
            ),
            "policy": Policy(rounds=2),
        },
        [PlanRound(3, is_rescue=False, may_send=True)],
    ),
    "what is lost is no reason to wait": (
        [lost(1), stored(2)],
        {},
        [PlanRound(1, is_rescue=False, may_send=True)],
    ),
    "but a reason of the end": (
        [lost(1), stored(2)],
        {"rounds": (RoundState(1, is_rescue=False, parts=0),)},
        [Finish("lost")],
    ),
    # rescues
    "what a cancelled batch left is sent anew": (
        [stored(1, is_cancelled=True)],
        {"policy": Policy(rounds=0)},
        [PlanRound(1, is_rescue=True, may_send=True)],
    ),
    "it takes no round away": (
        [stored(1, is_cancelled=True), stored(2, round=1)],
        {"rounds": (RoundState(1, is_rescue=True, parts=1),), "policy": Policy(rounds=1)},
        [PlanRound(2, is_rescue=False, may_send=True)],
    ),
    "a rescue may be rescued": (
        [stored(1, is_cancelled=True), stored(2, is_cancelled=True, round=1)],
        {"rounds": (RoundState(1, is_rescue=True, parts=1),), "policy": Policy(rounds=0)},
        [PlanRound(2, is_rescue=True, may_send=True)],
    ),
    "but not for ever": (
        [stored(1, is_cancelled=True, round=MAX_RESCUE_ROUNDS)],
        {
            "rounds": tuple(
                RoundState(number + 1, is_rescue=True, parts=1)
                for number in range(MAX_RESCUE_ROUNDS)
            ),
            "policy": Policy(rounds=0),
        },
        [PlanRound(MAX_RESCUE_ROUNDS + 1, is_rescue=False, may_send=False)],
    ),
    "a rescue that found nothing leaves the rounds": (
        [stored(1, is_cancelled=True)],
        {"rounds": (RoundState(1, is_rescue=True, parts=0, held_back=1),)},
        [PlanRound(2, is_rescue=False, may_send=True)],
    ),
    "or the end": (
        [stored(1, is_cancelled=True)],
        {"rounds": (RoundState(1, is_rescue=True, parts=0),)},
        [Finish()],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_next_actions(name: str) -> None:
    parts, fields, actions = CASES[name]
    rest = {"policy": Policy()} | fields
    state = SubmissionState(submission=SUBMISSION, parts=tuple(parts), **rest)
    assert plan_next(state, NOW) == actions


def test_one_that_waits_for_a_person_hides_no_other_that_is_overdue() -> None:
    parts = (running(1, DAY_S, waits_for_person="no such file"), running(2, DAY_S))
    state = SubmissionState(submission=SUBMISSION, policy=Policy(), parts=parts)
    first, *_ = plan_next(state, NOW)
    assert first == TellOverdue(2)
