"""The rules of the state machine: all that processes do to the ledger, and what happens to them."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from receiver.errors import Fault
from receiver.inbox.entries import State
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.ledger import LEASE_S, LIMITS, Arrival, Fact, Lease, Reopen
from receiver.inbox.outages import find_outages
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import Scripts
from receiver.retry import Counter
from tests.model.machine import AGES, LOST, TARGETS, LedgerMachine, nth_newest

BATCHES = st.sampled_from(["batches/a", "batches/b", "acme/batches/a"])
SUBMISSION = "submissions/5d41402abc4b2a76b971"
SENDERS = st.sampled_from(["", SUBMISSION, "acme/submissions/" + "0" * 20])
SOME_BATCHES = st.lists(BATCHES, min_size=1, max_size=3, unique=True)
CAUSES = st.sampled_from(["", "no", "two\nlines", "x" + "€" * 150, 'a "quote" / \\ \x7f \x01'])
REOPENED = st.sampled_from(["none", "none", "done", "all"])
KINDS = st.sampled_from(["batch.succeeded", "batch.failed"])
# What Gemini delivers has an id, and brings the user's metadata.
DELIVERIES = st.builds(
    Arrival,
    BATCHES,
    KINDS,
    st.sampled_from(["static", "dynamic"]),
    delivery_id=st.sampled_from(["d1", "d2", "d3", "d4"]),
    metadata=st.sampled_from(["", '{"a":1}', '{"a":2}']),
    reopen=REOPENED,
    trace=st.sampled_from(["", "00-ab-cd-01"]),
)
FOUND = st.builds(
    Arrival,
    BATCHES,
    KINDS,
    st.sampled_from(["replay", "reconcile", "retry", "again"]),
    reopen=REOPENED,
)
EVENTS = st.one_of(DELIVERIES, FOUND)
DELAYS_S = st.sampled_from([0.0, 0.5, 30.0, 600.0])
COUNTERS = st.sampled_from(["attempts", "waits", "outages", "refusals"])
NOBODY = Lease("batches/a", "0", 0, 0, {})
SUMMARY = Summary(state="SUCCEEDED", outcomes={"ok": 3})
COSTS = st.sampled_from(["gemini-3.5-flash 250000000000", "gemini-3.5-flash unknown", "pro 7"])
NOTICES = st.sampled_from([None, ("results.stored", "{}"), ("results.failed", '{"a":"€"}')])


WHOSE = st.one_of(BATCHES, BATCHES, AGES)


class BatchRules(LedgerMachine):
    """Web processes, sweeps, workers, and people with the commands."""

    @rule(arrivals=st.lists(EVENTS, min_size=1, max_size=3), lost=LOST)
    def accept(self, arrivals: list[Arrival], *, lost: bool) -> None:
        self.do(lambda: self.inbox.accept(arrivals), lost=lost)

    @rule(batch=BATCHES, reopen=st.sampled_from(["none", "all"]))
    def accept_one(self, batch: str, reopen: Reopen) -> None:
        self.inbox.accept([Arrival(batch, "batch.succeeded", "replay", reopen=reopen)])

    def lease(self, whose: str | int) -> Lease:
        """One that is held on this batch if that can be, or the nth newest, held or not."""
        if isinstance(whose, int):
            return nth_newest(self.leases, whose) or NOBODY
        entry = self.model.ledger.entries.get(whose)
        held = [one for one in self.leases if entry and entry.is_held_by(one.token)]
        return held[0] if held else self.open_and_take(whose) or NOBODY

    def open_and_take(self, batch: str) -> Lease | None:
        self.inbox.accept([Arrival(batch, "batch.succeeded", "retry", reopen="all")])
        return self.take(batch)

    @rule(batch=BATCHES)
    def claim(self, batch: str) -> None:
        self.take(batch)

    def take(self, batch: str) -> Lease | None:
        lease = self.inbox.claim(batch)
        self.leases += [lease] if lease else []
        return lease

    @rule(batch=BATCHES)
    def claim_unheard(self, batch: str) -> None:
        self.lose(lambda: self.inbox.claim(batch))

    @rule(batch=BATCHES, lost=LOST)
    def claim_as_workers_do(self, batch: str, *, lost: bool) -> None:
        """A claim whose answer is lost is told again, and counts as no crash."""
        self.claims.append((batch, f"c{len(self.claims)}"))
        self.tell_claim(*self.claims[-1], lost=lost)

    @rule(age=AGES, lost=LOST)
    def tell_an_old_claim(self, age: int, *, lost: bool) -> None:
        batch, claim_id = nth_newest(self.claims, age) or ("batches/a", "c")
        self.tell_claim(batch, claim_id, lost=lost)

    def tell_claim(self, batch: str, claim_id: str, *, lost: bool) -> None:
        lease = self.do(lambda: self.inbox.claim(batch, claim_id=claim_id), lost=lost)
        self.leases += [lease] if lease else []

    @rule(batch=BATCHES, times=st.integers(1, 5))
    def workers_die(self, batch: str, times: int) -> None:
        """Each claims the batch when the lease before has run out, and is never heard of."""
        for _ in range(times):
            if self.take(batch):
                self.set_clock(self.client.now_ms + int(LEASE_S * 1000))

    @rule(whose=WHOSE, lines=st.sampled_from([None, 7]), lost=LOST)
    def renew(self, whose: str | int, lines: int | None, *, lost: bool) -> None:
        progress = None if lines is None else JobProgress(stage="split", lines=lines)
        lease = self.lease(whose)
        self.do(lambda: self.inbox.renew(lease, progress=progress), lost=lost)

    @rule(whose=WHOSE, fact=st.sampled_from(["cost", "standing"]), text=COSTS, lost=LOST)
    def record(self, whose: str | int, fact: Fact, text: str, *, lost: bool) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.record(lease, fact, text), lost=lost)

    @rule(batch=BATCHES, cost=COSTS)
    def store(self, batch: str, cost: str) -> None:
        """As workers do: the cost is recorded before the manifest is written."""
        lease = self.lease(batch)
        self.do(lambda: self.inbox.record(lease, "cost", cost), lost=False)
        self.do(lambda: self.inbox.finish(lease, SUMMARY), lost=False)

    @rule(whose=WHOSE, lost=LOST)
    def leave(self, whose: str | int, *, lost: bool) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.leave(lease), lost=lost)

    @rule(whose=WHOSE, size=st.sampled_from([0, 9]), lost=LOST)
    def add_reading(self, whose: str | int, size: int, *, lost: bool) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.add_reading(lease, size, "ab" * 32), lost=lost)

    @rule(whose=WHOSE, delay_s=DELAYS_S, cause=CAUSES, counter=COUNTERS, lost=LOST)
    def postpone(
        self, whose: str | int, delay_s: float, cause: str, counter: Counter, *, lost: bool
    ) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.postpone(lease, delay_s, cause, counter), lost=lost)

    @rule(batch=BATCHES, counters=st.lists(COUNTERS, min_size=2, max_size=4))
    def fail_in_turn(self, batch: str, counters: list[Counter]) -> None:
        for counter in counters:
            lease = self.lease(batch)
            self.do(partial(self.inbox.postpone, lease, 0, "no", counter), lost=False)

    @rule(whose=WHOSE, counter=st.sampled_from(["attempts", "waits"]), most=st.integers(1, 3))
    def postpone_at_a_low_limit(self, whose: str | int, counter: str, most: int) -> None:
        """A thousand waits would take too many steps."""
        lease = self.lease(whose)
        args = (1000, "no", counter, most, 60, LIMITS[counter][1])
        Scripts(self.client, ["postpone"], targets=TARGETS).run(
            "postpone", lease.batch, lease.token, *args
        )

    @rule(whose=WHOSE, lost=LOST)
    def release(self, whose: str | int, *, lost: bool) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.release(lease, "its worker was shut down"), lost=lost)

    @rule(whose=WHOSE, notice=NOTICES, sender=SENDERS, lost=LOST)
    def finish(
        self, whose: str | int, notice: tuple[str, str] | None, sender: str, *, lost: bool
    ) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.finish(lease, SUMMARY, notice, sender), lost=lost)

    @rule(whose=WHOSE, cause=CAUSES)
    def keep(self, whose: str | int, cause: str) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.keep(lease, SUMMARY, cause), lost=False)

    @rule(whose=WHOSE, cause=CAUSES, sender=SENDERS)
    def expire(self, whose: str | int, cause: str, sender: str) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.expire(lease, SUMMARY, cause, sender), lost=False)

    @rule(
        whose=WHOSE,
        cause=CAUSES,
        fault=st.sampled_from(["batch", "outside"]),
        sender=SENDERS,
        lost=LOST,
    )
    def bury(self, whose: str | int, cause: str, fault: Fault, sender: str, *, lost: bool) -> None:
        lease = self.lease(whose)
        self.do(lambda: self.inbox.bury(lease, cause, fault, sender), lost=lost)

    @rule(batches=SOME_BATCHES, cause=CAUSES, lost=LOST)
    def bury_by_hand(self, batches: list[str], cause: str, *, lost: bool) -> None:
        self.do(lambda: self.inbox.bury_by_hand(batches, cause), lost=lost)

    @rule(batches=SOME_BATCHES, lost=LOST)
    def purge(self, batches: list[str], *, lost: bool) -> None:
        self.do(lambda: self.inbox.purge(batches), lost=lost)

    @rule(most=st.integers(0, 3))
    def sweep(self, most: int) -> None:
        self.inbox.take_due(most)

    @precondition(lambda machine: not machine.is_long)
    @rule(batch=BATCHES, times=st.integers(30, 60))
    def many_steps(self, batch: str, times: int) -> None:
        """More than a timeline holds; once, since it takes long."""
        self.is_long = True
        for number in range(times):
            if not (lease := self.take(batch)):
                return
            self.inbox.release(lease, f"{number}")

    @rule(state=st.sampled_from(["open", "leased"]))
    def look_at_due(self, state: State) -> None:
        InboxQueries(self.client).names(state)
        find_outages(self.client)
