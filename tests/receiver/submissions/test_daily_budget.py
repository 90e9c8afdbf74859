import multiprocessing
import threading
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing.queues import Queue
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.storage import Storage, open_storage
from receiver.storage.local import LocalStorage
from receiver.submissions.daily_budget import (
    KEPT_DAYS,
    DailyBudget,
    Spending,
    end_of_day,
    part_reference,
)
from receiver.submissions.records import SubmissionRecords, list_submissions
from receiver.submissions.submission import Part
from tests.receiver.submissions.submissions import submission
from tests.storage_servers import Bucket

DAY, CAP = "2026-11-29", Decimal("1.00")


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def test_cap_is_not_passed(storage: Storage) -> None:
    budget = DailyBudget(storage, "")
    cap = Decimal("1.00")
    asked = [budget.reserve(DAY, f"a.{number}", Decimal("0.40"), cap) for number in range(1, 4)]
    assert asked == [True, True, False]
    assert budget.reserve(DAY, "b.1", Decimal("0.20"), cap)
    assert budget.spending(DAY).total() == cap
    assert budget.reserve("2026-11-30", "a.3", Decimal("0.40"), cap)


def test_same_part_is_counted_once(storage: Storage) -> None:
    budget = DailyBudget(storage, "")
    for _ in range(3):
        assert budget.reserve(DAY, "a.1", Decimal(1), Decimal(1))
    assert len(storage.list_names("_submissions/spending")) == 1


def test_what_it_cost_frees_the_rest(storage: Storage) -> None:
    budget = DailyBudget(storage, "")
    assert budget.reserve(DAY, "a.1", Decimal(1), Decimal(1))
    for _ in range(2):
        budget.settle(DAY, "a.1", Decimal("0.25"))
    budget.settle(DAY, "never reserved", Decimal(5))
    assert budget.spending(DAY) == Spending(Decimal("0.25"), {})
    assert budget.reserve(DAY, "a.2", Decimal("0.75"), Decimal(1))
    assert not budget.reserve(DAY, "a.3", Decimal("0.01"), Decimal(1))


def test_part_that_is_never_sent_costs_nothing(storage: Storage) -> None:
    budget = DailyBudget(storage, "")
    assert budget.reserve(DAY, "a.1", Decimal(1), Decimal(1))
    budget.settle(DAY, "a.1", Decimal(0))
    assert budget.reserve(DAY, "b.1", Decimal(1), Decimal(1))


def test_unknown_cost_counts_once_it_is_known(storage: Storage) -> None:
    budget = DailyBudget(storage, "")
    assert budget.reserve(DAY, "a.1", None, Decimal(1))
    budget.settle(DAY, "a.1", Decimal("0.50"))
    assert not budget.reserve(DAY, "a.2", Decimal("0.51"), Decimal(1))


def test_without_a_cap_nothing_is_recorded(storage: Storage) -> None:
    assert DailyBudget(storage, "").reserve(DAY, "a.1", Decimal(10**9), None)
    assert storage.list_names("") == []


def test_projects_have_their_own(storage: Storage) -> None:
    for project in ("", "acme"):
        assert DailyBudget(storage, project).reserve(DAY, "a.1", Decimal(1), Decimal(1))
    names = [name.split("/")[2] for name in storage.list_names("_submissions/spending")]
    assert names == ["acme", "default"]


def test_old_days_are_deleted(storage: Storage) -> None:
    budget = DailyBudget(storage, "")
    for day in ("2026-10-29", "2026-10-31", DAY, "2026-11-30"):
        assert budget.reserve(day, "a.1", Decimal(1), Decimal(1))
    days = [name.split("/")[3] for name in storage.list_names("_submissions/spending")]
    assert days == ["2026-10-31", DAY, "2026-11-30"]
    assert KEPT_DAYS == 30


def test_folder_is_no_submission(storage: Storage) -> None:
    stored = submission(parts=1)
    SubmissionRecords(storage, stored.id).settle_plan(stored)
    assert DailyBudget(storage, "plan").reserve(DAY, "a.1", Decimal(1), Decimal(1))
    assert [one.id for one in list_submissions(storage)] == [stored.id]


def test_part_is_named_by_its_submission() -> None:
    part = Part(number=7, first_line=1, offset=0, size_bytes=1, requests=1)
    assert part_reference("abc", part) == "abc.7"


def test_day_ends_at_midnight_utc() -> None:
    assert (end_of_day(0.0), end_of_day(86_399.5), end_of_day(86_400.0)) == (
        86_400.0,
        86_400.0,
        172_800.0,
    )


def test_object_store_keeps_the_cap_too(own_s3: Bucket) -> None:
    first, second = (DailyBudget(open_storage(own_s3.url), "") for _ in range(2))
    asked = [
        budget.reserve(DAY, f"a.{number}", Decimal(1), Decimal(3))
        for number, budget in enumerate([first, second, first, second])
    ]
    assert asked == [True, True, True, False]


class Turns:
    """Lets one of two threads go on at a time, in a given order; then in any."""

    def __init__(self, order: list[int]) -> None:
        self._order, self._changed = order, threading.Condition()
        self._over = set[int]()

    def take(self, who: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._is_turn_of(who), timeout=30)
            if self._order:
                self._order.pop(0)
            self._changed.notify_all()

    def _is_turn_of(self, who: int) -> bool:
        while self._order and self._order[0] in self._over:
            self._order.pop(0)
        return not self._order or self._order[0] == who

    def end(self, who: int) -> None:
        with self._changed:
            self._over.add(who)
            self._changed.notify_all()


class SteppedStorage:
    """A real storage, of which each call waits for its turn."""

    def __init__(self, storage: Storage, turns: Turns, who: int) -> None:
        self._storage, self._turns, self._who = storage, turns, who

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            self._turns.take(self._who)
            answer = getattr(self._storage, name)(*args)
            return list(answer) if isinstance(answer, Iterator) else answer

        return call


Step = tuple[str, int, int]  # what to do, with which part, and how many cents
steps = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle"]), st.integers(1, 4), st.integers(0, 60)),
    max_size=6,
)


class Process:
    """One of several that share a budget, and what it must find in the books in the end."""

    def __init__(self, storage: Any, who: int) -> None:
        self._budget, self._who = DailyBudget(storage, ""), who
        self.reserved: dict[str, Decimal] = {}
        self.settled = Decimal(0)

    def run(self, todo: list[Step]) -> None:
        for what, number, cents in todo:
            part, amount = f"{self._who}.{number}", Decimal(cents) / 100
            if what == "settle":
                cost = min(amount, self.reserved.get(part, amount))
                self._budget.settle(DAY, part, cost)
                self.settled += cost if self.reserved.pop(part, None) is not None else 0
            elif self._budget.reserve(DAY, part, amount, CAP):
                self.reserved.setdefault(part, amount)


@settings(max_examples=60)
@given(steps, steps, st.lists(st.integers(0, 1), max_size=60))
def test_interleaved_processes_share_one_cap(
    one: list[Step], other: list[Step], order: list[int]
) -> None:
    """No state passes the cap, and none forgets what was reserved or settled."""
    with TemporaryDirectory() as folder:
        turns, storage = Turns(order), LocalStorage(Path(folder))
        processes = [Process(SteppedStorage(storage, turns, who), who) for who in (0, 1)]

        def run(who: int, todo: list[Step]) -> None:
            try:
                processes[who].run(todo)
            finally:
                turns.end(who)

        threads = [
            threading.Thread(target=run, args=(who, todo)) for who, todo in enumerate([one, other])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        states = read_states(storage)
        assert [state for state in states if state.total() > CAP] == []
        last = states[-1] if states else Spending()
        assert last.reserved == processes[0].reserved | processes[1].reserved
        assert last.settled == processes[0].settled + processes[1].settled


def read_states(storage: Storage) -> list[Spending]:
    names = sorted(
        storage.list_names("_submissions/spending"),
        key=lambda name: int(name.rpartition("/")[2].removesuffix(".json")),
    )
    return [msgspec.json.decode(storage.read(name) or b"", type=Spending) for name in names]


def reserve_many(folder: str, who: int, granted: "Queue[int]") -> None:
    budget = DailyBudget(LocalStorage(Path(folder)), "")
    asked = [budget.reserve(DAY, f"{who}.{number}", Decimal("0.03"), CAP) for number in range(30)]
    granted.put(sum(asked))


def test_three_processes_spend_no_more_than_one(storage: LocalStorage) -> None:
    spawn = multiprocessing.get_context("spawn")
    granted = spawn.Queue()
    processes = [
        spawn.Process(target=reserve_many, args=(str(storage.root), who, granted))
        for who in range(3)
    ]
    for process in processes:
        process.start()
    total = sum(granted.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)
    assert total == 33
    assert DailyBudget(storage, "").spending(DAY).total() == Decimal("0.99")
