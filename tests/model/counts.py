"""The model's sums: what /metrics and the charts read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.model.expiring import Marks
from tests.model.redis_state import State, Stored, rounded

HALF_HOUR_MS = 30 * 60 * 1000
HISTORY_TTL_MS = 26 * 3600 * 1000
Sums = dict[str, float]


@dataclass
class Counts:
    now_ms: int = 0
    sums: Sums = field(default_factory=dict)
    history: dict[int, tuple[Sums, int]] = field(default_factory=dict)  # half hour: sums, end
    writes: Marks = field(default_factory=Marks)

    def expire(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.writes.expire(now_ms)
        self.history = {when: one for when, one in self.history.items() if now_ms <= one[1]}

    def add(self, name: str) -> None:
        """One more of what the ledger itself counts."""
        self._add(self.sums, name, 1)
        self._add(self._begin_history(), name, 1)

    def add_write(self, write_id: str, ttl_s: str, *amounts: str) -> None:
        """What a process has gathered; the same write counts once."""
        if not self.writes.set_once(
            f"gbr:counted:{write_id}", "1", self.now_ms + int(ttl_s) * 1000
        ):
            return
        self._extend_history()
        for name, amount in _pairs(amounts):
            self._add(self.sums, name, float(amount))
            if "_total" in name:
                self._add(self._begin_history(), name, float(amount))

    def render(self) -> State:
        return self.writes.found | self.render_sums()

    def render_sums(self) -> State:
        state = State()
        if self.sums:
            state["gbr:metrics"] = Stored(rounded(self.sums))
        for half_hour, (sums, expires_ms) in self.history.items():
            state[f"gbr:history:{half_hour}"] = Stored(rounded(sums), expires_ms)
        return state

    def _add(self, sums: Sums, name: str, amount: float) -> None:
        sums[name] = sums.get(name, 0) + amount

    def _begin_history(self) -> Sums:
        half_hour = self.now_ms // HALF_HOUR_MS
        sums, _ = self.history.get(half_hour, ({}, 0))
        self.history[half_hour] = sums, self.now_ms + HISTORY_TTL_MS
        return sums

    def _extend_history(self) -> None:
        if self.now_ms // HALF_HOUR_MS in self.history:
            self._begin_history()


def _pairs(amounts: Sequence[str]) -> Iterable[tuple[str, str]]:
    return zip(amounts[::2], amounts[1::2], strict=True)
