"""The state machine: two workers' worth of calls in any order, judged after each one.

Each rule is a call of the product's own classes, whose script runs on the real Valkey. After every
script the model must give the same reply, all of Redis must be the model's state, and the promises
must hold. What was leased once is remembered, so a rule also acts for workers and senders that have
long lost what they held: scripts are atomic, so that is all that interleaving can do.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from receiver.errors import InboxUnavailableError, LeaseLostError, ReconcileLockedError
from receiver.inbox.ledger import Inbox, Lease
from receiver.inbox.paused import PausedProjects
from receiver.inbox.redis import FENCE, SUBMISSIONS
from receiver.notices.outbox import Outbox
from receiver.notices.queue import ClaimedNotice, NoticeQueue
from receiver.recovery.reconcile_lock import ReconcileLock, ReconcileRun
from tests.model.calls import Call
from tests.model.clocked import ClockedRedis
from tests.model.model import Model
from tests.model.promises import Promises, check_state
from tests.model.redis_state import State, dump
from tests.stepped_clock import START_MS

T = TypeVar("T")
TARGETS = ("aaaa", "bbbb")
PROJECTS = ("", "acme")
INTERVAL_S = 900.0
AGES = st.sampled_from([0, 1, 2, 5])  # of a lease, a claim, a run: most have been lost by now
LOST = st.integers(0, 5).map(lambda number: number == 5)
LOGGED = "gbr:deliveries"  # a repeated call is one more row of this log


class LedgerMachine(RuleBasedStateMachine):
    """Its rules are in the classes that derive from it."""

    client: ClassVar[ClockedRedis]
    effects: ClassVar["Counter[str]"]  # calls that changed something, by script

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.client.set_clock(START_MS)
        self.client.loses_reply = False
        self.client.on_call = self._judge
        self.model, self.promises, self.state = Model(), Promises(), State()
        self.is_long = False  # whether a batch has had many steps
        self.is_wiped = False
        self.has_gone_back = False  # the clock
        self.leases: list[Lease] = []
        self.claims: list[tuple[str, str]] = []  # batches and ids of claims
        self.claimed: list[ClaimedNotice] = []
        self.runs: list[tuple[str, ReconcileRun]] = []
        self.inbox = Inbox(self.client, TARGETS)
        self.submissions = Inbox(self.client, TARGETS, SUBMISSIONS)
        self.submission_leases: list[Lease] = []
        self.paused = PausedProjects(self.client)
        self.outbox = Outbox(self.client, TARGETS)
        self.queues = {target: NoticeQueue(self.client, target) for target in TARGETS}
        self.locks = {name: ReconcileLock(self.client, INTERVAL_S, name) for name in PROJECTS}

    @initialize(claims=st.sampled_from([0, 998]))
    def begin(self, claims: int) -> None:
        """After so many claims: a counter that turns over shows at its turn."""
        if claims:
            self.client.set(FENCE, claims)
            self.model.fence.last = claims
        self.look()

    def look(self) -> None:
        """Compare all of Redis with the model, now."""
        self.state = dump(self.client)
        self.model.pass_time(self.client.now_ms)
        self.model.compare(self.state)
        check_state(self.state, self.client.now_ms)

    def _judge(self, call: Call) -> None:
        before = self.state
        self.state = dump(self.client)
        self.model.accept(call)
        self.model.compare(self.state)
        self.promises.check(before, call, self.state)
        self.effects[call.name] += before != self.state

    def set_clock(self, now_ms: int) -> None:
        self.client.set_clock(now_ms)
        self.look()

    def do(self, step: Callable[[], T], *, lost: bool) -> T | None:
        """Take a step; if its reply is lost take it again, which must change nothing more.

        None where the product says that what it acted on is no longer its own.
        """
        self.client.loses_reply = lost
        try:
            return step()
        except InboxUnavailableError:
            before = self.state
            found = self._repeat(step)
            changed = {key for key in before | self.state if before.get(key) != self.state.get(key)}
            assert changed <= {LOGGED}, f"a repeated call changes {changed}"
            return found
        except (LeaseLostError, ReconcileLockedError):
            return None
        finally:
            self.client.loses_reply = False

    def _repeat(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except (LeaseLostError, ReconcileLockedError):
            return None

    def lose(self, step: Callable[[], object]) -> None:
        """Take a step of which nobody hears: who asked for a lease never learns its token."""
        self.client.loses_reply = True
        try:
            step()
        except InboxUnavailableError:
            return
        finally:
            self.client.loses_reply = False

    def teardown(self) -> None:
        self.client.on_call = _ignore


def nth_newest(found: Sequence[T], age: int) -> T | None:
    return found[-1 - min(age, len(found) - 1)] if found else None


def _ignore(_: Call) -> None:
    """Between two runs nobody listens."""
