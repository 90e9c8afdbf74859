"""The rules of notices, counts and reconcile locks, and of what befalls Redis and its clock."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from receiver.inbox.redis import Scripts
from receiver.inbox.redis_health import find_write_obstacle
from receiver.notices.payloads import Message
from receiver.notices.queue import ClaimedNotice, NoticeQueue
from receiver.recovery.reconcile_lock import Outcome, ReconcileRun
from receiver.settings.notice_events import NoticeType
from receiver.telemetry.metrics.history import count_cost
from tests.model.machine import AGES, LOST, PROJECTS, TARGETS, LedgerMachine, nth_newest
from tests.model.promises import MAX_BACK_MS
from tests.model.rules import BATCHES, CAUSES, COSTS, DELAYS_S
from tests.model.submission_rules import SubmissionRules

DAY_MS = 86400 * 1000
# Around each time that means something: grace, leases, pauses, half hours, times to live.
PAUSES_MS = st.sampled_from(
    [1, 500, 4_999, 5_000, 6_000, 12_000, 20_000, 60_000, 180_000, 900_000, 1_800_000]
)
LONG_MS = st.sampled_from([DAY_MS, 8 * DAY_MS, 29 * DAY_MS, 30 * DAY_MS + 1])
AMOUNTS = st.dictionaries(
    st.sampled_from(["gbr_a_total", 'gbr_b_total:"x"', "gbr_seconds:sum"]),
    st.sampled_from([1, 0.25, 2.5]),
    min_size=1,
)

# More often all of them: else few notices would live long.
EVENTS = st.sampled_from([None, None, ["batch.overdue"], ["receiver.test", "batch.buried"]])
TO = st.one_of(st.sampled_from(TARGETS), AGES)
WHOSE_RUN = st.one_of(st.sampled_from(PROJECTS), AGES)
NO_RUN = ReconcileRun("nobody's", 0, None, 0)


class NoticeRules(LedgerMachine):
    """Senders, reconcile runs that find overdue batches, and people with the commands."""

    def notice(self, to: str | int) -> tuple[NoticeQueue, ClaimedNotice]:
        """One that is leased for this target if there can be one, or the nth newest."""
        if isinstance(to, int):
            notice = nth_newest(self.claimed, to)
        else:
            self.outbox.enqueue("batches/a", Message("receiver.test", {}))
            notice = self.take_notice(to)
        notice = notice or ClaimedNotice("aaaa/msg_unknown", "0", "receiver.test", "", {}, 0, 0)
        return self.queues[notice.name.partition("/")[0]], notice

    def take_notice(
        self, to: str, events: Sequence[NoticeType] | None = None
    ) -> ClaimedNotice | None:
        notice = self.queues[to].claim(events=events)
        self.claimed += [notice] if notice else []
        return notice

    @rule(batch=BATCHES, data=st.sampled_from([{}, {"a": "€"}]), lost=LOST)
    def enqueue(self, batch: str, data: dict[str, str], *, lost: bool) -> None:
        self.do(lambda: self.outbox.enqueue(batch, Message("receiver.test", data)), lost=lost)

    @rule(batch=BATCHES, hours=st.sampled_from([24, 44]), lost=LOST)
    def enqueue_overdue(self, batch: str, hours: int, *, lost: bool) -> None:
        name, row = "enqueue_overdue_notices", (batch, hours, f'{{"hours":{hours}}}')
        scripts = Scripts(self.client, [name], targets=TARGETS)
        self.do(lambda: scripts.run(name, 3 * 86400, *row), lost=lost)

    @rule(to=st.sampled_from(TARGETS), events=EVENTS)
    def claim_notice(self, to: str, events: Sequence[NoticeType] | None) -> None:
        self.take_notice(to, events)

    @rule(to=st.sampled_from(TARGETS))
    def claim_notice_unheard(self, to: str) -> None:
        self.lose(self.queues[to].claim)

    @rule(to=st.sampled_from(TARGETS), lost=LOST)
    def look_for_unattended(self, to: str, *, lost: bool) -> None:
        self.do(self.queues[to].is_unattended, lost=lost)

    @rule(to=TO, lost=LOST)
    def deliver(self, to: str | int, *, lost: bool) -> None:
        queue, notice = self.notice(to)
        self.do(lambda: queue.mark_delivered(notice), lost=lost)

    @rule(to=TO, delay_s=DELAYS_S, cause=CAUSES, lost=LOST)
    def postpone_notice(self, to: str | int, delay_s: float, cause: str, *, lost: bool) -> None:
        queue, notice = self.notice(to)
        self.do(lambda: queue.postpone(notice, delay_s, cause), lost=lost)

    @rule(to=TO, cause=CAUSES, lost=LOST)
    def give_up_notice(self, to: str | int, cause: str, *, lost: bool) -> None:
        queue, notice = self.notice(to)
        self.do(lambda: queue.mark_dead(notice, cause), lost=lost)

    @rule(dead=st.booleans(), most=st.integers(1, 3), lost=LOST)
    def retry_notices(self, *, dead: bool, most: int, lost: bool) -> None:
        names = list(self.outbox.names(dead=dead))[:most]
        self.do(lambda: self.outbox.retry([*names, "aaaa/msg_unknown"]), lost=lost)

    @rule(dead=st.booleans(), most=st.integers(1, 3), lost=LOST)
    def purge_notices(self, *, dead: bool, most: int, lost: bool) -> None:
        names = list(self.outbox.names(dead=dead))[:most]
        self.do(lambda: self.outbox.purge([*names, "aaaa/msg_unknown"]), lost=lost)


class LockRules(LedgerMachine):
    """Reconcile runs of two projects, and what processes count."""

    def a_run(self, whose: str | int) -> tuple[str, ReconcileRun]:
        """That which holds this project's lock if there can be one, or the nth newest."""
        if isinstance(whose, int):
            return nth_newest(self.runs, whose) or ("", NO_RUN)
        self.acquire_one(whose, force=True)
        held = [one for one in self.runs if one[0] == whose]
        return nth_newest(held, 0) or (whose, NO_RUN)

    @rule(project=st.sampled_from(PROJECTS), force=st.booleans())
    def acquire(self, project: str, *, force: bool) -> None:
        self.acquire_one(project, force=force)

    def acquire_one(self, project: str, *, force: bool) -> None:
        run = self.do(lambda: self.locks[project].acquire(force=force), lost=False)
        self.runs += [(project, run)] if run else []

    @rule(project=st.sampled_from(PROJECTS))
    def acquire_unheard(self, project: str) -> None:
        self.do(lambda: self.lose(self.locks[project].acquire), lost=False)

    @rule(whose=WHOSE_RUN, lost=LOST)
    def renew_lock(self, whose: str | int, *, lost: bool) -> None:
        project, run = self.a_run(whose)
        self.do(lambda: self.locks[project].renew(run), lost=lost)

    @rule(
        whose=WHOSE_RUN,
        outcome=st.sampled_from(["complete", "unclear", "failed"]),
        unclear=st.lists(BATCHES, max_size=2),
        pause_ms=st.sampled_from([0, 1, 5_000]),
        lost=LOST,
    )
    def release_lock(
        self, whose: str | int, outcome: Outcome, unclear: list[str], *, pause_ms: int, lost: bool
    ) -> None:
        project, run = self.a_run(whose)
        self.set_clock(self.client.now_ms + pause_ms)
        self.do(lambda: self.locks[project].release(run, outcome, unclear), lost=lost)

    @rule(write=st.sampled_from(["w1", "w2", "w3"]), amounts=AMOUNTS, lost=LOST)
    def count(self, write: str, amounts: dict[str, float], *, lost: bool) -> None:
        scripts = Scripts(self.client, ["count"])
        args = [part for pair in amounts.items() for part in pair]
        self.do(lambda: scripts.run("count", write, 600, *args), lost=lost)

    @rule(what=st.sampled_from(["c1", "c2"]), cost=COSTS, lost=LOST)
    def count_cost(self, what: str, cost: str, *, lost: bool) -> None:
        self.do(lambda: count_cost(self.client, what, cost), lost=lost)


class FateRules(LedgerMachine):
    """Time, and what befalls Redis."""

    @rule(pause_ms=PAUSES_MS)
    def pass_time(self, pause_ms: int) -> None:
        self.set_clock(self.client.now_ms + pause_ms)

    @rule(pause_ms=LONG_MS)
    def pass_days(self, pause_ms: int) -> None:
        self.set_clock(self.client.now_ms + pause_ms)

    @rule(off_ms=st.sampled_from([-1, 0, 1]))
    def pass_time_to_what_is_due(self, off_ms: int) -> None:
        ledgers = (self.model.ledger, self.model.submissions)
        due = [score for one in ledgers for score in one.due_set().scores.values()]
        for queue in self.model.outbox.queues.values():
            due += queue.scores.values()
        ahead = [score + off_ms for score in due if score + off_ms > self.client.now_ms]
        if ahead:
            self.set_clock(min(ahead))

    @rule(off_ms=st.sampled_from([0, 1]))
    def pass_time_to_what_expires(self, off_ms: int) -> None:
        ends = [stored.expires_ms for stored in self.state.values() if stored.expires_ms]
        if ends:
            self.set_clock(max(self.client.now_ms, min(ends) + off_ms))

    @precondition(lambda machine: not machine.is_wiped and not machine.has_gone_back)
    @rule(back_ms=st.sampled_from([1, 1_000, 600_000, MAX_BACK_MS]))
    def fail_over(self, back_ms: int) -> None:
        """To a replica whose clock is behind, or to a clock that is set right after a day."""
        self.has_gone_back = True
        self.set_clock(self.client.now_ms - back_ms)

    @precondition(lambda machine: not machine.is_wiped and not machine.has_gone_back)
    @rule()
    def wipe(self) -> None:
        """To lose everything and come back takes a millisecond; the clock alone then tells tokens."""
        self.is_wiped = True
        self.client.flushall()
        self.model.wipe()
        self.set_clock(self.client.now_ms + 1)

    @rule()
    def probe(self) -> None:
        assert find_write_obstacle(self.client) is None
        self.look()


class Everything(SubmissionRules, NoticeRules, LockRules, FateRules):
    """All rules in one machine."""
