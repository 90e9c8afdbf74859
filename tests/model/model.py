"""The model as a whole: it is given each call of a script, says what must come of it, and is compared.

It is written from what the ledger promises, not from the scripts: entries, notices and locks are
plain objects with a clock of their own, which is the time that the server told the script.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.model.batches import Burial, Fence, Paused
from tests.model.calls import Call, Reply
from tests.model.counts import Counts
from tests.model.due_views import list_due, sum_outages
from tests.model.entry import Entry
from tests.model.ledger import Ending, HandBack, Ledger
from tests.model.lock import Lock
from tests.model.outbox import Outbox, Settlement
from tests.model.redis_state import State, Stored, differences


class RefusedError(AssertionError):
    """What really happened is not what the model says must happen."""


@dataclass
class Model:
    counts: Counts = field(default_factory=Counts)
    fence: Fence = field(default_factory=Fence)
    paused: Paused = field(default_factory=Paused)
    locks: dict[str, Lock] = field(default_factory=dict)  # by key
    outbox: Outbox = field(init=False)
    ledger: Ledger = field(init=False)  # of the batches
    submissions: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.counts)
        self.ledger = Ledger(self.counts, self.outbox, self.fence, self.paused)
        self.submissions = Ledger(
            self.counts, self.outbox, self.fence, self.paused, prefix="gbr:submissions:"
        )

    def ledger_of(self, call: Call) -> Ledger:
        """The one that a script was called for."""
        return self.ledger if call.keys[0] == "gbr:due" else self.submissions

    def wipe(self) -> None:
        """Redis lost everything."""
        self.__init__()  # type: ignore[misc]

    def pass_time(self, now_ms: int) -> None:
        for part in (self.counts, self.outbox, self.ledger, self.submissions):
            part.expire(now_ms)

    def accept(self, call: Call) -> None:
        """Raises RefusedError where the script's reply is not the model's."""
        expected = self.run(call)
        if expected != call.reply:
            raise RefusedError(f"the model gives {expected!r} for {call}")

    def run(self, call: Call) -> Reply:
        """Do what the script does, whatever it replied. Gives what it must have replied."""
        self.pass_time(call.now_ms)
        return SCRIPTS[call.name](self, call)

    def compare(self, found: State) -> None:
        """Raises RefusedError where Redis does not hold exactly what the model says."""
        if lines := list(differences(self.render(), found)):
            raise RefusedError("\n".join(lines))

    def render(self) -> State:
        state = self.ledger.render() | self.submissions.render()
        state |= self.outbox.render() | self.counts.render() | self.paused.render()
        for key, lock in self.locks.items():
            state |= lock.render(key)
        return state | self._render_fence()

    def render_keys(self, keys: Iterable[str]) -> State:
        """Some hashes and texts: to render all after each call of a long trace takes too long."""
        state = self.counts.render_sums()
        for marks in (self.ledger.seen, self.outbox.marks, self.counts.writes):
            state |= {key: marks.found[key] for key in keys if key in marks.found}
        for key in keys:
            if entry := self._entry(key):
                state[key] = entry.render()
            elif notice := self.outbox.notices.get(key.removeprefix("gbr:notice:")):
                state[key] = notice.render()
            elif lock := self.locks.get(key):
                state |= lock.render(key)
        return state | self.paused.render() | self._render_fence()

    def _entry(self, key: str) -> Entry | None:
        ledgers = (self.ledger, self.submissions)
        found = (one.entries.get(key.removeprefix(f"{one.prefix}entry:")) for one in ledgers)
        return next((entry for entry in found if entry), None)

    def _render_fence(self) -> State:
        return {"gbr:fence": Stored(str(self.fence.last))} if self.fence.last else {}

    def lock(self, call: Call) -> Lock | None:
        return self.locks.get(call.keys[6])


Script = Callable[[Model, Call], Reply]


def _claim(model: Model, call: Call) -> Reply:
    batch, lease_ms, most, ttl_s, claim_id = call.args
    limit = int(most), Burial(call.targets, "", int(ttl_s), "batch")
    return model.ledger_of(call).claim(batch, int(lease_ms), limit, claim_id)


def _take_due(model: Model, call: Call) -> Reply:
    return model.ledger_of(call).take_due(*map(int, call.args))


def _renew(model: Model, call: Call) -> Reply:
    batch, token, lease_ms, progress = call.args
    return model.ledger_of(call).renew(batch, token, int(lease_ms), progress)


def _record(model: Model, call: Call) -> Reply:
    return model.ledger_of(call).record(*call.args)


def _leave(model: Model, call: Call) -> Reply:
    batch, token, lease_ms = call.args
    return model.ledger_of(call).leave(batch, token, int(lease_ms))


def _postpone(model: Model, call: Call) -> Reply:
    batch, token, delay_ms, cause, counter, most, ttl_s, fault = call.args
    burial = Burial(call.targets, cause, int(ttl_s), fault)
    back = HandBack(int(delay_ms), cause, counter, int(most))
    return model.ledger_of(call).postpone(batch, token, back, burial)


def _finish(model: Model, call: Call) -> Reply:
    batch, token, summary, ttl_s, result, cause, submission, *notice = call.args
    ending = Ending(call.targets, summary, int(ttl_s), result, cause, notice)
    reply = model.ledger_of(call).finish(batch, token, ending)
    if reply:
        model.submissions.wake(submission)
    return reply


def _bury(model: Model, call: Call) -> Reply:
    batch, token, cause, ttl_s, fault, submission = call.args
    burial = Burial(call.targets, cause, int(ttl_s), fault)
    reply = model.ledger_of(call).bury(batch, token, burial)
    if reply:
        model.submissions.wake(submission)
    return reply


def _bury_by_hand(model: Model, call: Call) -> Reply:
    cause, ttl_s, *batches = call.args
    return model.ledger_of(call).bury_by_hand(
        Burial(call.targets, cause, int(ttl_s), "person"), *batches
    )


def _list_due(model: Model, call: Call) -> Reply:
    state, first, last = call.args
    return list_due(model.ledger_of(call), state, int(first), int(last))


def _count(model: Model, call: Call) -> Reply:
    model.counts.add_write(*call.args)
    return None


def _count_cost(model: Model, call: Call) -> Reply:
    model.counts.add_cost_once(*call.args)
    return None


def _enqueue_notice(model: Model, call: Call) -> Reply:
    batch, kind, data = call.args
    model.outbox.enqueue(call.targets, batch, kind, data)
    return 1


def _claim_notice(model: Model, call: Call) -> Reply:
    (target,), (lease_ms, attended_ms, *events) = call.targets, call.args
    return model.outbox.claim(
        target,
        lambda: model.fence.next(call.now_ms),
        int(lease_ms),
        int(attended_ms),
        events,
    )


def _settle_notice(model: Model, call: Call) -> Reply:
    name, token, result, delay_ms, cause, kind = call.args
    told = Settlement(result, int(delay_ms), cause, kind)
    return model.outbox.settle(name, token, told)


def _acquire(model: Model, call: Call) -> Reply:
    token, pause_ms, failed_pause_ms, hold_ms, how = call.args
    lock = model.locks.get(call.keys[6], Lock())
    pauses_ms = int(pause_ms), int(failed_pause_ms)
    is_forced = how != "due"
    reply = lock.acquire(call.now_ms, token, pauses_ms, int(hold_ms), is_forced=is_forced)
    if lock.began_ms is not None:
        model.locks[call.keys[6]] = lock
    return reply


def _renew_lock(model: Model, call: Call) -> Reply:
    token, hold_ms = call.args
    lock = model.lock(call)
    return lock.renew(call.now_ms, token, int(hold_ms)) if lock else 0


def _release_lock(model: Model, call: Call) -> Reply:
    lock = model.lock(call)
    return lock.release(*call.args) if lock else 0


SCRIPTS: dict[str, Script] = {
    "accept": lambda model, call: model.ledger_of(call).accept(*call.args),
    "claim": _claim,
    "due": _take_due,
    "renew": _renew,
    "record": _record,
    "leave": _leave,
    "add_reading": lambda model, call: model.ledger_of(call).add_reading(*call.args),
    "postpone": _postpone,
    "finish": _finish,
    "bury": _bury,
    "bury_by_hand": _bury_by_hand,
    "purge": lambda model, call: model.ledger_of(call).purge(*call.args),
    "pause": lambda model, call: model.paused.change(call.now_ms, *call.args),
    "due_in_state": _list_due,
    "outages": lambda model, call: sum_outages(model.ledger_of(call), *map(int, call.args)),
    "count": _count,
    "count_cost": _count_cost,
    "enqueue_notice": _enqueue_notice,
    "enqueue_overdue_notices": lambda model, call: model.outbox.enqueue_overdue(
        call.targets, *call.args
    ),
    "claim_notice": _claim_notice,
    "look_for_unattended_notices": lambda model, call: model.outbox.look_for_unattended(
        call.targets[0]
    ),
    "settle_notice": _settle_notice,
    "retry_notices": lambda model, call: model.outbox.retry(*call.args),
    "purge_notices": lambda model, call: model.outbox.purge(*call.args),
    "acquire_reconcile_lock": _acquire,
    "renew_reconcile_lock": _renew_lock,
    "release_reconcile_lock": _release_lock,
}
