"""The model's sums: what /metrics and the charts read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.model.expiring import Marks
from tests.model.redis_state import State, Stored, rounded

HOUR_MS = 3600 * 1000
# What is kept beside the sums of all time: how long a hash counts, and how long it is kept.
SPANS = {
    "gbr:history": (HOUR_MS // 2, 26 * HOUR_MS),
    "gbr:trend": (3 * HOUR_MS, 32 * 24 * HOUR_MS),
}
MAX_FIELDS = 1000
Sums = dict[str, float]


@dataclass
class Counts:
    now_ms: int = 0
    sums: Sums = field(default_factory=dict)
    history: dict[str, tuple[Sums, int]] = field(default_factory=dict)  # by key: sums, end
    writes: Marks = field(default_factory=Marks)

    def expire(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.writes.expire(now_ms)
        self.history = {when: one for when, one in self.history.items() if now_ms <= one[1]}

    def add(self, name: str) -> None:
        """One more of what the ledger itself counts."""
        for sums in (self.sums, *self._begin_history()):
            self._add(sums, name, 1)

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
                for sums in self._begin_history():
                    self._add(sums, name, float(amount))

    def add_cost(self, cost: str) -> None:
        """What a stored batch cost: its model and picodollars."""
        model, amount = cost.split(" ")
        for sums in self._begin_history():
            is_known = f"gbr_batches:{model}" in sums
            name = model if is_known or len(sums) < MAX_FIELDS else "other"
            self._add(sums, f"gbr_batches:{name}", 1)
            if amount == "unknown":
                self._add(sums, f"gbr_unpriced:{name}", 1)
            else:
                self._add(sums, f"gbr_cost:{name}", int(amount))

    def add_cost_once(self, cost_id: str, ttl_s: str, cost: str) -> None:
        """The cost of what has no entry; the same one counts once."""
        ends_ms = self.now_ms + int(ttl_s) * 1000
        if self.writes.set_once(f"gbr:counted:{cost_id}", "1", ends_ms):
            self.add_cost(cost)

    def render(self) -> State:
        return self.writes.found | self.render_sums()

    def render_sums(self) -> State:
        state = State()
        if self.sums:
            state["gbr:metrics"] = Stored(rounded(self.sums))
        for key, (sums, expires_ms) in self.history.items():
            state[key] = Stored(rounded(sums), expires_ms)
        return state

    def _add(self, sums: Sums, name: str, amount: float) -> None:
        sums[name] = sums.get(name, 0) + amount

    def _keys(self) -> dict[str, int]:
        """The hashes of now, and how long each is kept."""
        return {f"{key}:{self.now_ms // one_ms}": ttl for key, (one_ms, ttl) in SPANS.items()}

    def _begin_history(self) -> list[Sums]:
        for key, ttl_ms in self._keys().items():
            sums, _ = self.history.get(key, ({}, 0))
            self.history[key] = sums, self.now_ms + ttl_ms
        return [self.history[key][0] for key in self._keys()]

    def _extend_history(self) -> None:
        for key, ttl_ms in self._keys().items():
            if key in self.history:
                self.history[key] = self.history[key][0], self.now_ms + ttl_ms


def _pairs(amounts: Sequence[str]) -> Iterable[tuple[str, str]]:
    return zip(amounts[::2], amounts[1::2], strict=True)
