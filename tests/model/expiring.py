"""What the model keeps that ends by itself: sorted sets and marks with a time to live."""

from dataclasses import dataclass, field

from tests.model.redis_state import State, Stored, raw


@dataclass
class ScoredSet:
    """Names by a time in ms. An empty one is no key, so its time to live ends with it."""

    scores: dict[str, int] = field(default_factory=dict)
    expires_ms: int | None = None

    def add(self, name: str, score_ms: int) -> None:
        self.scores[name] = score_ms

    def put(self, name: str, score_ms: int, expires_ms: int) -> None:
        self.scores[name] = score_ms
        self.expires_ms = expires_ms

    def remove(self, name: str) -> None:
        self.scores.pop(name, None)
        self._forget_time_to_live()

    def drop_until(self, last_ms: int) -> None:
        self.scores = {name: at for name, at in self.scores.items() if at > last_ms}
        self._forget_time_to_live()

    def expire(self, now_ms: int) -> None:
        if self.expires_ms is not None and now_ms > self.expires_ms:
            self.scores = {}
        self._forget_time_to_live()

    def in_order(self) -> list[str]:
        """By score, and where it is the same by name, as Redis orders them."""
        return sorted(self.scores, key=lambda name: (self.scores[name], raw(name)))

    def until(self, last_ms: int) -> list[str]:
        return [name for name in self.in_order() if self.scores[name] <= last_ms]

    def render(self, key: str) -> State:
        return {key: Stored(dict(self.scores), self.expires_ms)} if self.scores else {}

    def _forget_time_to_live(self) -> None:
        if not self.scores:
            self.expires_ms = None


@dataclass
class Marks:
    """Keys whose being there is the message; each with its value and the time that it ends."""

    found: dict[str, Stored] = field(default_factory=dict)

    def set(self, key: str, value: str, expires_ms: int) -> None:
        self.found[key] = Stored(value, expires_ms)

    def set_once(self, key: str, value: str, expires_ms: int) -> bool:
        """False where it is there already."""
        if key in self.found:
            return False
        self.set(key, value, expires_ms)
        return True

    def expire(self, now_ms: int) -> None:
        self.found = {
            key: one for key, one in self.found.items() if now_ms <= (one.expires_ms or now_ms)
        }
