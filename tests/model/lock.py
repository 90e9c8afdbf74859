"""The model's reconcile lock of one project."""

from dataclasses import dataclass

from tests.model.redis_state import State, Stored

Reply = list[str | int | None]


@dataclass
class Lock:
    first_ms: int | None = None  # when somebody first reconciled
    began_ms: int | None = None  # the last run
    complete_ms: int | None = None  # when the last complete run began
    has_failed: bool = False  # until a run is released as anything else
    unclear: str | None = None
    holder: str | None = None
    held_until_ms: int | None = None

    def acquire(
        self, now_ms: int, token: str, pauses_ms: tuple[int, int], hold_ms: int, *, is_forced: bool
    ) -> Reply:
        """`pauses_ms`: after a run that went well, after a failed one."""
        latest_ms = now_ms + hold_ms  # what is later was written before the clock was set back
        if now_ms < (self.held_until_ms or 0) <= latest_ms + hold_ms:
            return ["held"]
        began_ms = self.began_ms or 0
        is_early = began_ms <= latest_ms and began_ms + pauses_ms[self.has_failed] > now_ms
        if not is_forced and is_early:
            return ["early"]
        if self.first_ms is None or self.first_ms > latest_ms:
            self.first_ms = now_ms
        self.began_ms, self.has_failed = now_ms, True
        self.holder, self.held_until_ms = token, now_ms + hold_ms
        is_told = self.complete_ms is not None and self.complete_ms <= latest_ms
        complete = str(self.complete_ms) if is_told else ""
        return ["acquired", now_ms, complete, self.first_ms, self.unclear or ""]

    def renew(self, now_ms: int, token: str, hold_ms: int) -> int:
        if self.holder != token:
            return 0
        self.held_until_ms = now_ms + hold_ms
        return 1

    def release(self, token: str, outcome: str, unclear: str) -> int:
        if self.holder != token:
            return 0
        if outcome == "complete":
            self.complete_ms, self.unclear = self.began_ms, unclear
        self.has_failed = outcome == "failed"
        self.holder = self.held_until_ms = None
        return 1

    def render(self, key: str) -> State:
        fields = {
            "first": self.first_ms,
            "began": self.began_ms,
            "complete": self.complete_ms,
            "failed": int(self.has_failed),
            "unclear": self.unclear,
            "holder": self.holder,
            "held_until": self.held_until_ms,
        }
        return {key: Stored({name: str(one) for name, one in fields.items() if one is not None})}
