"""The model's ledger of batches: what each step of `receiver.inbox.ledger.Inbox` does to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from receiver.inbox.ledger import Arrival
from tests.model.batches import Batches, Burial
from tests.model.entry import Entry
from tests.model.outbox import AHEAD_MS
from tests.model.redis_state import raw

RESULTS = {
    "attempts": "postponed",
    "waits": "not_ready",
    "outages": "outage",
    "refusals": "refused",
    "settled": "waiting",
}
PAUSED_MS = 60_000  # so long what is due of a paused project is left alone
Lease = list[str | int | None]  # what a claim gives
REOPENED_BY = {"done": ("done", "all"), "buried": ("all",)}


@dataclass(frozen=True)
class HandBack:
    delay_ms: int
    cause: str
    counter: str  # "" counts nothing
    most: int  # of that counter, which bury the batch; 0: none do


@dataclass(frozen=True)
class Ending:
    targets: Sequence[str]
    summary: str
    ttl_s: int
    result: str
    cause: str
    notice: Sequence[str]  # type and data, or nothing


class Ledger(Batches):
    """What each call does."""

    # Events

    def accept(self, ttl_s: str, grace_ms: str, most_logged: str, packed: str) -> str:
        """`packed`: the arrivals as MessagePack. Gives a digit for each."""
        verdicts = [
            self._accept_one(one, int(ttl_s) * 1000, int(grace_ms)) for one in unpack(packed)
        ]
        del self.log[int(most_logged) :]
        return "".join(str(int(verdict)) for verdict in verdicts)

    def _accept_one(self, arrival: Arrival, ttl_ms: int, grace_ms: int) -> bool:
        delivery, batch = arrival.delivery_id, arrival.batch
        key, expires_ms = f"gbr:delivery:{delivery}", self.now_ms + ttl_ms
        is_new = not delivery or self.seen.set_once(key, batch, expires_ms)
        is_opened = is_new and self._admit(arrival, self.now_ms + grace_ms)
        if delivery:
            verdict = "accepted" if is_opened else "known"
            row = (str(self.now_ms), verdict, delivery, arrival.event, batch)
            self.log.insert(0, "\n".join(row))
        return is_opened

    def _admit(self, arrival: Arrival, grace_ms: int) -> bool:
        known = self.entries.get(arrival.batch)
        if known is None or arrival.reopen in REOPENED_BY.get(known.state, ()):
            self._open(arrival, grace_ms, known)
            return True
        if arrival.metadata:
            known.metadata = arrival.metadata
        if known.state == "open":
            known.due_ms = min(known.due_ms or 0, self.now_ms)
            known.grace_ms = grace_ms
        elif known.state == "leased":
            known.again = "1"
        return False

    def _open(self, arrival: Arrival, grace_ms: int, before: Entry | None) -> None:
        opened = Entry(
            event=arrival.event,
            source=arrival.source,
            metadata=arrival.metadata,
            trace=arrival.trace,
            accepted_ms=self.now_ms,
            changed_ms=self.now_ms,
            due_ms=self.now_ms,
            grace_ms=grace_ms,
        )
        if before is not None:
            opened.first_ms = before.first_ms or before.accepted_ms
            opened.timeline = before.timeline
            opened.metadata = opened.metadata or before.metadata
        opened.note(self.now_ms, "accepted", f"{opened.event} {opened.source}")
        self.entries[arrival.batch] = opened
        self.done.remove(arrival.batch)
        self.buried.remove(arrival.batch)

    # The sweep

    def take_due(
        self, most: int, grace_ms: int, done_ttl_s: int, buried_ttl_s: int, scanned: int
    ) -> list[str]:
        self.done.drop_until(self.now_ms - done_ttl_s * 1000)
        self.buried.drop_until(self.now_ms - buried_ttl_s * 1000)
        self._forget_times_ahead()
        due = self.due_set().until(self.now_ms)[:scanned]
        found = list[str]()
        for batch in due:
            if len(found) >= most:
                break
            entry = self.entries[batch]
            if self.paused.has(batch):
                entry.due_ms = self.now_ms + PAUSED_MS
            elif entry.grace_ms <= self.now_ms:
                entry.grace_ms = self.now_ms + grace_ms
                found.append(batch)
        return found

    def _forget_times_ahead(self) -> None:
        """What was written before the clock was set back by more than an hour is due now."""
        latest_ms = self.now_ms + AHEAD_MS
        for entry in self.entries.values():
            if entry.due_ms is None or entry.due_ms < latest_ms or entry.changed_ms <= latest_ms:
                continue
            entry.due_ms = entry.changed_ms = self.now_ms
            entry.grace_ms = 0

    # A lease

    def claim(
        self, batch: str, lease_ms: int, limit: tuple[int, Burial], claim_id: str = ""
    ) -> Lease | None:
        """`limit`: how many crashes bury the batch, and how."""
        entry = self.entries.get(batch)
        if entry and claim_id and entry.is_held_by(entry.claim_token(claim_id)):
            entry.due_ms = self.now_ms + lease_ms
            return self._read_lease(entry)
        if entry is None or entry.due_ms is None or entry.due_ms > self.now_ms:
            return None
        if self.paused.has(batch):
            entry.due_ms = self.now_ms + PAUSED_MS
            return None
        if entry.state == "leased" and not self._lose_lease(batch, *limit):
            return None
        entry.token = self.fence.next(self.now_ms)
        entry.state, entry.changed_ms, entry.progress = "leased", self.now_ms, None
        entry.claim = f"{claim_id} {entry.token}"
        entry.again, entry.is_leaving = "", False
        entry.note(self.now_ms, "claimed", f"attempt {entry.attempts + 1}")
        entry.due_ms = self.now_ms + lease_ms
        return self._read_lease(entry)

    def _read_lease(self, entry: Entry) -> Lease:
        return [
            entry.token or "",
            entry.attempts,
            entry.waits,
            entry.metadata or None,
            entry.trace,
            entry.outages,
            self.since(entry.outages_since_ms),
            entry.refusals,
            self.since(entry.refusals_since_ms),
            str(entry.first_ms or entry.accepted_ms),
            entry.source,
        ]

    def _lose_lease(self, batch: str, most: int, burial: Burial) -> bool:
        """Nobody handed it back. False where that was once too often."""
        entry = self.entries[batch]
        self.end_attempt("lease_lost")
        entry.note(self.now_ms, "lease_lost", "its worker was not heard of any more")
        if entry.is_leaving:
            return True
        entry.attempts += 1
        if entry.attempts < most:
            return True
        cause = f"its worker died {entry.attempts} times while it held this batch"
        self.bury_entry(batch, replace(burial, cause=cause))
        return False

    def renew(self, batch: str, token: str, lease_ms: int, progress: str) -> int:
        if not (entry := self.held(batch, token)):
            return 0
        entry.due_ms, entry.progress = self.now_ms + lease_ms, progress
        return 1

    def record(self, batch: str, token: str, fact: str, said: str) -> int:
        if not (entry := self.held(batch, token)):
            return 0
        entry.facts[fact] = said
        return 1

    def leave(self, batch: str, token: str, lease_ms: int) -> int:
        if not (entry := self.held(batch, token)):
            return 0
        entry.due_ms, entry.is_leaving = self.now_ms + lease_ms, True
        return 1

    def add_reading(self, batch: str, token: str, reading: str) -> list[int] | None:
        """The same reading of the same lease is one reading, however often it is told."""
        if not (entry := self.held(batch, token)):
            return None
        if (entry.reading_token, entry.reading) != (token, reading):
            is_same = entry.reading == reading
            entry.readings += 1
            entry.same_readings = entry.same_readings + 1 if is_same else 1
            entry.same_since_ms = entry.same_since_ms if is_same else self.now_ms
            entry.reading, entry.reading_token = reading, token
        return [entry.readings, entry.same_readings, self.since(entry.same_since_ms)]

    # Its end

    def postpone(self, batch: str, token: str, back: HandBack, burial: Burial) -> str:
        if not (entry := self.held(batch, token)):
            return "lost"
        count = self._count(entry, back.counter)
        if back.counter and 0 < back.most <= count:
            self.bury_entry(batch, burial)
            self.end_attempt("buried")
            return "buried"
        self._follow_row(entry, back.counter)
        entry.due_ms = self.now_ms if entry.again else self.now_ms + back.delay_ms
        entry.again = ""
        entry.state, entry.cause = "open", back.cause
        entry.changed_ms, entry.grace_ms = self.now_ms, 0
        entry.drop_lease()
        result = RESULTS.get(back.counter, "handed_back")
        entry.note(self.now_ms, result, back.cause)
        self.end_attempt(result)
        return "open"

    def _count(self, entry: Entry, counter: str) -> int:
        if counter in {"", "settled"}:
            return 0
        count: int = getattr(entry, counter) + 1
        setattr(entry, counter, count)
        return count

    def _follow_row(self, entry: Entry, counter: str) -> None:
        """Outages and refusals are counted in a row: whatever else comes ends the row."""
        if counter == "settled":
            entry.attempts = entry.waits = 0
        if counter in {"waits", "settled"}:
            entry.forget_faults()
        elif counter == "outages":
            entry.outages_since_ms = entry.outages_since_ms or self.now_ms
            entry.forget_refusals()
        elif counter == "refusals":
            entry.refusals_since_ms = entry.refusals_since_ms or self.now_ms

    def finish(self, batch: str, token: str, ending: Ending) -> int:
        if not (entry := self.held(batch, token)):
            return 0
        if ending.notice:
            kind, data = ending.notice
            self.outbox.enqueue(ending.targets, batch, kind, data)
        if not self.is_of_batches and entry.again == "1":
            self._open_again(entry, ending.cause)
            return 1
        entry.summary = ending.summary
        if cost := entry.facts.pop("cost", None):
            self.counts.add_cost(cost)
        entry.forget_faults()
        self.end(batch, "done", ending.cause, ending.ttl_s)
        entry.note(self.now_ms, ending.result, ending.cause)
        self.end_attempt(ending.result)
        return 1

    def _open_again(self, entry: Entry, cause: str) -> None:
        """A person has said more about a submission since it was claimed."""
        entry.state, entry.cause, entry.again = "open", cause, ""
        entry.due_ms = entry.changed_ms = self.now_ms
        entry.grace_ms = entry.attempts = 0
        entry.drop_lease()
        entry.note(self.now_ms, "again", cause)

    def wake(self, submission: str) -> None:
        """A batch of this submission has ended; one without an entry is found by a reconcile run."""
        entry = self.entries.get(submission)
        if entry is None:
            return
        if entry.state == "leased":
            entry.again = entry.again or "woken"
        elif entry.state == "open":
            entry.due_ms = min(entry.due_ms or 0, self.now_ms)
            entry.grace_ms = 0


def unpack(packed: str) -> list[Arrival]:
    """The arrivals that the accept script was given."""
    return msgspec.msgpack.decode(raw(packed), type=list[Arrival])
