"""The model's batches: what the inbox holds of each, and how they end without their lease.

Submissions have a ledger of their own, of which the same holds.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from receiver.batch_names import BatchName, SubmissionName
from tests.model.counts import Counts
from tests.model.entry import ENDED, Entry
from tests.model.expiring import Marks, ScoredSet
from tests.model.outbox import Outbox
from tests.model.redis_state import State, Stored


@dataclass
class Fence:
    """The number that each claim gets."""

    last: int = 0

    def next(self, now_ms: int) -> str:
        """Larger than all before, also when the clock goes back, or Redis forgot the last one."""
        self.last = max(self.last + 1, now_ms * 1000)
        return str(self.last)


@dataclass
class Paused:
    """The projects of which nobody takes anything, and since when."""

    since_ms: dict[str, int] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether this batch or submission is of one."""
        found = SubmissionName.read(name) or BatchName.read(name)
        return found.project in self.since_ms

    def change(self, now_ms: int, order: str, *projects: str) -> list[str]:
        """Gives those for which that changed something."""
        changed = []
        for project in projects:
            was_paused = project in self.since_ms
            if was_paused == (order == "pause"):
                continue
            changed.append(project)
            if was_paused:
                del self.since_ms[project]
            else:
                self.since_ms[project] = now_ms
        return changed

    def render(self) -> State:
        if not self.since_ms:
            return {}
        fields = {project: str(since_ms) for project, since_ms in self.since_ms.items()}
        return {"gbr:paused": Stored(fields)}


@dataclass(frozen=True)
class Burial:
    """What comes of a batch that is given up."""

    targets: Sequence[str]  # that get a notice
    cause: str
    ttl_s: int
    fault: str


@dataclass
class Batches:
    """The entries, and all that ends them."""

    counts: Counts
    outbox: Outbox
    fence: Fence
    paused: Paused
    now_ms: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    done: ScoredSet = field(default_factory=ScoredSet)
    buried: ScoredSet = field(default_factory=ScoredSet)
    seen: Marks = field(default_factory=Marks)  # deliveries
    log: list[str] = field(default_factory=list)  # of deliveries, newest first
    prefix: str = "gbr:"  # of its keys

    @property
    def is_of_batches(self) -> bool:
        return self.prefix == "gbr:"

    def expire(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.entries = {
            batch: entry
            for batch, entry in self.entries.items()
            if entry.expires_ms is None or now_ms <= entry.expires_ms
        }
        for ended in (self.done, self.buried):
            ended.expire(now_ms)
        self.seen.expire(now_ms)

    def due_set(self) -> ScoredSet:
        """Nothing that is owed is ever without a due time: so it is no table of its own."""
        return ScoredSet({b: e.due_ms for b, e in self.entries.items() if e.due_ms is not None})

    def held(self, batch: str, token: str) -> Entry | None:
        entry = self.entries.get(batch)
        return entry if entry and entry.is_held_by(token) else None

    def since(self, begun_ms: int | None) -> int:
        return 0 if begun_ms is None else self.now_ms - begun_ms

    def bury(self, batch: str, token: str, burial: Burial) -> int:
        if not self.held(batch, token):
            return 0
        self.bury_entry(batch, burial)
        self.end_attempt("buried")
        return 1

    def bury_by_hand(self, burial: Burial, *batches: str) -> list[str]:
        """Gives those that no person had buried."""
        buried = []
        for batch in batches:
            entry = self.entries.get(batch)
            if entry is None or entry.state == "done" or entry.fault == "person":
                continue
            buried.append(batch)
            if entry.state == "buried":
                entry.cause, entry.fault = burial.cause, burial.fault
                entry.note(self.now_ms, "buried", burial.cause)
                continue
            was_leased = entry.state == "leased"
            self.bury_entry(batch, burial)
            if was_leased:
                self.end_attempt("buried")
        return buried

    def bury_entry(self, batch: str, burial: Burial) -> None:
        entry = self.entries[batch]
        data = burial_data(entry, burial.cause)
        kind = "batch.buried" if self.is_of_batches else "submission.buried"
        self.outbox.enqueue(burial.targets, batch, kind, data)
        entry.fault = burial.fault
        self.end(batch, "buried", burial.cause, burial.ttl_s)
        entry.note(self.now_ms, "buried", burial.cause)
        self.count("gbr_buried_batches_total")

    def end(self, batch: str, state: str, cause: str, ttl_s: int) -> None:
        entry = self.entries[batch]
        expires_ms = self.now_ms + ttl_s * 1000
        entry.state, entry.cause, entry.changed_ms = state, cause, self.now_ms
        entry.due_ms, entry.expires_ms = None, expires_ms
        entry.drop_lease()
        ended = dict(zip(ENDED, (self.done, self.buried), strict=True))[state]
        ended.put(batch, self.now_ms, expires_ms)

    def end_attempt(self, result: str) -> None:
        self.count(f"gbr_attempts_total:{result}")

    def count(self, series: str) -> None:
        """The series count batches alone."""
        if self.is_of_batches:
            self.counts.add(series)

    def purge(self, *batches: str) -> list[str]:
        removed = []
        for batch in batches:
            if self.entries.pop(batch, None):
                removed.append(batch)
            self.done.remove(batch)
            self.buried.remove(batch)
        return removed

    def render(self) -> State:
        state = {
            f"{self.prefix}entry:{batch}": entry.render() for batch, entry in self.entries.items()
        }
        state |= self.due_set().render(f"{self.prefix}due")
        state |= self.done.render(f"{self.prefix}done")
        state |= self.buried.render(f"{self.prefix}buried")
        if self.log:
            state["gbr:deliveries"] = Stored(list(self.log))
        return state | self.seen.found


def burial_data(entry: Entry, cause: str) -> str:
    """As cjson encodes it, in the order in which Lua walks through that table."""
    data = {
        "accepted_ms": entry.accepted_ms,
        "source": entry.source,
        "attempts": entry.attempts,
        "event": entry.event,
        "waits": entry.waits,
        "cause": cause,
    }
    encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return encoded.replace("/", "\\/").replace("\x7f", "\\u007f")
