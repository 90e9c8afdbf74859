"""Where a submission stands, by its records and its batches: what `plan_next` decides by. Pure."""

from decimal import Decimal
from typing import Literal

import msgspec

from receiver.submissions.policy import Command, Policy
from receiver.submissions.submission import Part, Submission

# Why a submission ended though not every request is answered.
StopReason = Literal["rounds", "budget", "cancelled", "lost"]
REASONS: dict[StopReason, str] = {
    "rounds": "requests that may succeed are left, and its rounds are used up",
    "budget": "what is left could pass --max-cost or DAILY_COST_CAP, or nobody knows its cost",
    "cancelled": "it was cancelled",
    "lost": "the results of a batch are lost",
}


class PartState(msgspec.Struct, frozen=True, kw_only=True):
    """One part, in whatever lane."""

    part: Part
    # A call may have created its batch, and nobody knows yet; of lane `flex`: sending has begun.
    is_unsure: bool = False
    batch: str | None = None  # "batches/<id>"
    is_kept: bool = True  # its input lies beside its results, and nobody waits for it any more
    sent_at: float | None = None  # Unix time in seconds, of the call that created it
    is_stored: bool = False  # its manifest is there: every one of its requests has an outcome
    is_cancelled: bool = False  # we asked Gemini to cancel it
    is_told: bool = False  # that it is overdue
    is_listed: bool = True  # the batches' ledger knows it; a wiped Redis does not
    waits_for_person: str | None = None  # why its batch is buried in the inbox
    lost: str | None = None  # why its results will never come
    cost: Decimal | None = None  # of a stored one; None where unknown
    answered: int = 0  # requests of a stored one

    @property
    def is_sent(self) -> bool:
        return self.batch is not None or self.is_unsure

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.is_stored or self.lost is not None

    @property
    def is_unsettled(self) -> bool:
        """Whether an earlier call has to be looked into, or finished, before anything else."""
        return self.part.lane == "batch" and (self.is_unsure or not self.is_kept)

    @property
    def counted_cost(self) -> Decimal | None:
        """What it cost, or may cost at most; None where nobody knows."""
        if self.is_stored and self.cost is not None:
            return self.cost
        return self.part.most_cost


class RoundState(msgspec.Struct, frozen=True):
    """A round that has been planned; the first sending is none."""

    number: int  # from 1
    is_rescue: bool  # it sends what an overdue batch left, and counts for no round of the policy
    parts: int  # 0: nothing was left that may succeed
    held_back: int = 0  # requests that may succeed, but the policy forbids another round


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What may be sent now for the project and model, beside what others have under way."""

    tokens: int | None = None  # that may still be enqueued; None: no limit is known
    batches: int = 100
    file_bytes: int = 20_000_000_000
    day_cap: Decimal | None = None  # of the project, in US dollars
    day_budget: Decimal | None = None  # left of the project's daily cap, in US dollars
    day_ends: float = 0.0  # Unix time in seconds: when the daily cap begins anew
    refused_until: float = 0.0  # Gemini said 429: nothing is created before this Unix time


class SubmissionState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision depends on."""

    submission: Submission
    policy: Policy
    command: Command = "run"
    ordered_at: float = 0.0  # Unix time in seconds: when a person said so
    parts: tuple[PartState, ...] = ()  # by number, of all rounds
    rounds: tuple[RoundState, ...] = ()
    room: Room = Room()
    is_finished: bool = False
