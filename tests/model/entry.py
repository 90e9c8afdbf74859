"""The model's entry of one batch."""

from dataclasses import dataclass, field

from tests.model.redis_state import Stored, raw, text

MAX_STEPS, MAX_DETAIL_BYTES = 50, 300
ENDED = ("done", "buried")


@dataclass
class Entry:
    """Times are Unix times in ms by Redis' clock."""

    event: str
    source: str
    metadata: str
    trace: str
    accepted_ms: int
    changed_ms: int
    due_ms: int | None  # a worker takes it then, or its lease runs out; None once it has ended
    grace_ms: int  # until then its job may wait for a worker
    first_ms: int | None = None  # when it was accepted first; None until it is opened again
    state: str = "open"
    timeline: list[str] = field(default_factory=list)
    attempts: int = 0
    waits: int = 0
    outages: int = 0  # in a row
    outages_since_ms: int | None = None
    refusals: int = 0  # in a row
    refusals_since_ms: int | None = None
    token: str | None = None
    claim: str | None = None  # the last one: its id, which may be empty, and its token
    progress: str | None = None
    is_leaving: bool = False  # its worker was told to end
    # While it was leased: "1" where another event came, "woken" where a batch of it ended.
    again: str = ""
    reading: str | None = None
    reading_token: str | None = None
    readings: int = 0
    same_readings: int = 0
    same_since_ms: int | None = None
    cause: str | None = None
    fault: str | None = None
    summary: str | None = None
    facts: dict[str, str] = field(default_factory=dict)  # that a worker recorded
    expires_ms: int | None = None

    def note(self, now_ms: int, step: str, detail: str) -> None:
        """One more row of the timeline; the first and the last ones stay."""
        cut = text(raw(detail)[:MAX_DETAIL_BYTES]).replace("\n", " ")
        if len(self.timeline) >= MAX_STEPS:
            del self.timeline[1]
        self.timeline.append(f"{now_ms} {step} {cut}")

    def forget_faults(self) -> None:
        """The other side answered as it should: what comes later is another outage."""
        self.outages, self.outages_since_ms = 0, None
        self.forget_refusals()

    def forget_refusals(self) -> None:
        self.refusals, self.refusals_since_ms = 0, None

    def drop_lease(self) -> None:
        self.token = self.progress = None

    def is_held_by(self, token: str) -> bool:
        return self.state == "leased" and self.token == token

    def claim_token(self, claim_id: str) -> str:
        """Of the lease that this claim got; empty where the last one was another."""
        last_id, _, token = (self.claim or "").partition(" ")
        return token if last_id == claim_id else ""

    def render(self) -> Stored:
        always = {
            "state": self.state,
            "event": self.event,
            "door": self.source,
            "attempts": self.attempts,
            "waits": self.waits,
            "accepted": self.accepted_ms,
            "changed": self.changed_ms,
            "rung_until": self.grace_ms,
            "timeline": "\n".join(self.timeline),
        }
        once_said = {
            "outages_since": self.outages_since_ms,
            "refusals_since": self.refusals_since_ms,
            "first": self.first_ms,
            "metadata": self.metadata or None,
            "trace": self.trace or None,
            "token": self.token,
            "claim": self.claim,
            "progress": self.progress,
            "reading": self.reading,
            "reading_token": self.reading_token,
            "same_since": self.same_since_ms,
            "cause": self.cause,
            "fault": self.fault,
            "summary": self.summary,
            "again": self.again or None,
        }
        not_zero = {
            "outages": self.outages,
            "refusals": self.refusals,
            "leaving": int(self.is_leaving),
            "readings": self.readings,
            "same_readings": self.same_readings,
        }
        fields = {
            **always,
            **self.facts,
            **{name: value for name, value in once_said.items() if value is not None},
            **{name: value for name, value in not_zero.items() if value},
        }
        return Stored({name: str(value) for name, value in fields.items()}, self.expires_ms)
