"""What happened to a batch, as the inbox's scripts write it down."""

import pytest
import redis

from receiver.inbox.entry_fields import JobProgress, Step, Summary, read_timeline
from receiver.inbox.ledger import MAX_CAUSE, Arrival, Inbox, Lease
from tests.waiting import eventually

BATCH = "batches/abc"


@pytest.fixture
def inbox(client: "redis.Redis") -> Inbox:
    inbox = Inbox(client)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static", "msg_1")])
    return inbox


def claim(inbox: Inbox, lease_s: float = 60) -> Lease:
    lease = inbox.claim(BATCH, lease_s)
    assert lease is not None
    return lease


def timeline(inbox: Inbox) -> tuple[Step, ...]:
    return inbox.entries([BATCH])[BATCH].timeline


def test_every_step_is_told_in_order(inbox: Inbox) -> None:
    inbox.postpone(claim(inbox), 0, "Gemini says RUNNING", "waits")
    inbox.postpone(claim(inbox), 0, "broken", "attempts")
    inbox.release(claim(inbox), "shut down")
    claim(inbox, lease_s=0.01)
    eventually(inbox.has_due)
    inbox.bury(claim(inbox), "no such batch")
    inbox.accept([Arrival(BATCH, "batch.succeeded", "retry", reopen="all")])
    inbox.finish(claim(inbox), Summary())
    steps = timeline(inbox)
    assert [(step.what, step.detail) for step in steps] == [
        ("accepted", "batch.succeeded static"),
        ("claimed", "attempt 1"),
        ("not_ready", "Gemini says RUNNING"),
        ("claimed", "attempt 1"),
        ("postponed", "broken"),
        ("claimed", "attempt 2"),
        ("handed_back", "shut down"),
        ("claimed", "attempt 2"),
        ("lease_lost", "its worker was not heard of any more"),
        ("claimed", "attempt 3"),
        ("buried", "no such batch"),
        ("accepted", "batch.succeeded retry"),
        ("claimed", "attempt 1"),
        ("stored", ""),
    ]
    assert [step.time_ms for step in steps] == sorted(step.time_ms for step in steps)


def test_long_story_keeps_its_first_and_last_steps(inbox: Inbox) -> None:
    for number in range(40):
        inbox.postpone(claim(inbox), 0, f"wait {number}", "waits")
    steps = timeline(inbox)
    assert len(steps) == 50
    assert steps[0].what == "accepted"
    assert steps[-1].detail == "wait 39"
    assert steps[1].detail == "wait 15"


@pytest.mark.parametrize("cause", ["two\nlines\n1769083200000 stored ", "é" * MAX_CAUSE])
def test_cause_can_not_forge_a_step(inbox: Inbox, cause: str) -> None:
    inbox.postpone(claim(inbox), 0, cause, "waits")
    assert [step.what for step in timeline(inbox)] == ["accepted", "claimed", "not_ready"]


@pytest.mark.parametrize("text", ["", "junk", "x y z", "1 accepted"])
def test_unreadable_rows_are_left_out(text: str) -> None:
    assert read_timeline(text) == ()


def test_progress_lasts_as_long_as_the_lease(inbox: Inbox) -> None:
    lease, progress = (
        claim(inbox),
        JobProgress(stage="split", bytes=5, total_bytes=10, lines=1, display_name="\ud800"),
    )
    inbox.renew(lease, progress=progress)
    assert inbox.entries([BATCH])[BATCH].progress == progress
    inbox.release(lease, "shut down")
    assert inbox.entries([BATCH])[BATCH].progress is None
