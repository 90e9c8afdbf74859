"""The model's notices: queued for each target, claimed, delivered, put off, dead."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.model.counts import Counts
from tests.model.expiring import Marks, ScoredSet
from tests.model.redis_state import State, Stored, raw

DAY_MS = 86400 * 1000
NOTICE_TTL_MS = 30 * DAY_MS
MAX_SCANNED = 100
AHEAD_MS = 3600 * 1000  # what is later was written before the clock was set back


@dataclass
class Notice:
    type: str
    batch: str
    data: str
    enqueued_ms: int
    expires_ms: int
    changed_ms: int = 0  # when it was last queued or claimed
    tries: int = 0
    token: str | None = None
    cause: str | None = None
    died_ms: int | None = None

    def render(self) -> Stored:
        fields = {
            "type": self.type,
            "batch": self.batch,
            "data": self.data,
            "owed": self.enqueued_ms,
            "changed": self.changed_ms,
            "tries": self.tries,
            "token": self.token,
            "cause": self.cause,
            "died": self.died_ms,
        }
        words = {name: str(value) for name, value in fields.items() if value is not None}
        return Stored(words, self.expires_ms)


@dataclass(frozen=True)
class Settlement:
    result: str  # "delivered", "failed", "dead"
    delay_ms: int
    cause: str
    type: str


def target_of(name: str) -> str:
    return name.partition("/")[0]


@dataclass
class Outbox:
    counts: Counts
    now_ms: int = 0
    notices: dict[str, Notice] = field(default_factory=dict)
    queues: dict[str, ScoredSet] = field(default_factory=dict)  # by target
    dead: ScoredSet = field(default_factory=ScoredSet)
    targets: set[str] = field(default_factory=set)
    targets_expire_ms: int = 0
    marks: Marks = field(default_factory=Marks)

    def expire(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.notices = {name: one for name, one in self.notices.items() if now_ms <= one.expires_ms}
        for names in (*self.queues.values(), self.dead):
            names.expire(now_ms)
        if now_ms > self.targets_expire_ms:
            self.targets = set()
        self.marks.expire(now_ms)

    def enqueue(self, targets: Sequence[str], batch: str, kind: str, data: str) -> None:
        """One for each target, due at once. One that says the same takes the other's place."""
        digest = hashlib.sha1(raw(f"{kind}\n{batch}\n{data}")).hexdigest()
        for target in targets:
            name = f"{target}/msg_{digest}"
            expires_ms = self.now_ms + NOTICE_TTL_MS
            self.notices[name] = Notice(kind, batch, data, self.now_ms, expires_ms)
            self.dead.remove(name)
            self._queue(name, self.now_ms)

    def enqueue_overdue(self, targets: Sequence[str], ttl_s: str, *rows: str) -> int:
        """One for each target, batch and number of hours, as long as that is remembered."""
        fresh, expires_ms = 0, self.now_ms + int(ttl_s) * 1000
        for batch, hours, data in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
            for target in targets:
                key = f"gbr:overdue:{target}:{hours}:{batch}"
                if self.marks.set_once(key, "1", expires_ms):
                    self.enqueue([target], batch, "batch.overdue", data)
                    fresh += 1
        return fresh

    def claim(
        self,
        target: str,
        next_token: Callable[[], str],
        lease_ms: int,
        attended_ms: int,
        events: Sequence[str] = (),
    ) -> list[str] | None:
        """With `events`, due notices of other types are forgotten."""
        self.marks.set(_served(target), str(self.now_ms), self.now_ms + attended_ms)
        self.dead.drop_until(self.now_ms - NOTICE_TTL_MS)
        claimed = self._claim_due(target, next_token, lease_ms, events)
        if claimed is None and self._bring_back(target):
            claimed = self._claim_due(target, next_token, lease_ms, events)
        return claimed

    def look_for_unattended(self, target: str) -> int:
        """How many are due; none while somebody claims from that queue."""
        served = self.marks.found.get(_served(target))
        if served and int(str(served.value)) <= self.now_ms + AHEAD_MS:
            return 0
        self._bring_back(target)
        return len(self.queues.get(target, ScoredSet()).until(self.now_ms))

    def _bring_back(self, target: str) -> bool:
        """What was written before the clock was set back by more than an hour is due now."""
        queue, latest_ms = self.queues.get(target, ScoredSet()), self.now_ms + AHEAD_MS
        ahead = [
            name
            for name, due_ms in queue.scores.items()
            if due_ms > latest_ms
            and name in self.notices
            and self.notices[name].changed_ms > latest_ms
        ]
        for name in ahead:
            queue.add(name, self.now_ms)
        return bool(ahead)

    def _claim_due(
        self, target: str, next_token: Callable[[], str], lease_ms: int, events: Sequence[str]
    ) -> list[str] | None:
        queue = self.queues.setdefault(target, ScoredSet())
        for name in queue.until(self.now_ms)[:MAX_SCANNED]:
            notice = self.notices.get(name)
            if notice is None:
                queue.remove(name)
                continue
            if events and notice.type not in events:
                queue.remove(name)
                del self.notices[name]
                continue
            notice.token, notice.changed_ms = next_token(), self.now_ms
            queue.add(name, self.now_ms + lease_ms)
            self.marks.set(_served(target), str(self.now_ms), self.now_ms + lease_ms)
            told = (notice.type, notice.batch, notice.data, notice.enqueued_ms, notice.tries)
            return [name, notice.token, *map(str, told)]
        return None

    def settle(self, name: str, token: str, told: Settlement) -> int:
        notice = self.notices.get(name)
        if notice is None or notice.token != token:
            return 0
        self.counts.add(f"gbr_notices_total:{told.type}:{told.result}")
        if told.result == "delivered":
            del self.notices[name]
            self._unqueue(name)
            return 1
        notice.token, notice.cause = None, told.cause
        notice.tries += 1
        if told.result == "failed":
            self._queue(name, self.now_ms + told.delay_ms)
            return 1
        notice.died_ms, notice.expires_ms = self.now_ms, self.now_ms + NOTICE_TTL_MS
        self._unqueue(name)
        self.dead.put(name, self.now_ms, self.now_ms + NOTICE_TTL_MS)
        return 1

    def retry(self, *names: str) -> list[str]:
        found = [name for name in names if name in self.notices]
        for name in found:
            notice = self.notices[name]
            notice.tries, notice.token, notice.died_ms = 0, None, None
            notice.expires_ms = self.now_ms + NOTICE_TTL_MS
            self.dead.remove(name)
            self._queue(name, self.now_ms)
        return found

    def purge(self, *names: str) -> list[str]:
        removed = []
        for name in names:
            if self.notices.pop(name, None):
                removed.append(name)
            self.dead.remove(name)
            self._unqueue(name)
        return removed

    def render(self) -> State:
        state = {f"gbr:notice:{name}": notice.render() for name, notice in self.notices.items()}
        for target, queue in self.queues.items():
            state |= queue.render(f"gbr:notices:{target}")
        if self.targets:
            state["gbr:notices"] = Stored(frozenset(self.targets), self.targets_expire_ms)
        return state | self.dead.render("gbr:dead_notices") | self.marks.found

    def _queue(self, name: str, due_ms: int) -> None:
        """Whoever has a notice in a queue is a target that the outbox lists."""
        target, expires_ms = target_of(name), self.now_ms + NOTICE_TTL_MS
        self.notices[name].changed_ms = self.now_ms
        self.queues.setdefault(target, ScoredSet()).put(name, due_ms, expires_ms)
        self.targets.add(target)
        self.targets_expire_ms = expires_ms

    def _unqueue(self, name: str) -> None:
        if queue := self.queues.get(target_of(name)):
            queue.remove(name)


def _served(target: str) -> str:
    return f"gbr:notices:{target}:served"
