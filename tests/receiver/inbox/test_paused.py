"""A project that a person has paused: deliveries come in, and nobody works on them."""

from collections.abc import Iterator

import pytest
import redis

from receiver.batch_names import SubmissionName
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.ledgers import open_ledgers
from receiver.inbox.paused import RESUMED_WITHIN_S, PausedProjects, fetch_paused
from receiver.inbox.redis import DUE, PAUSED
from receiver.submissions.ledger_entry import accept_submission
from tests.model.clocked import ClockedRedis, clocked_client
from tests.stepped_clock import START_MS

OURS, OTHERS = "acme/batches/a", "batches/a"
GRACE_MS = 5_000


@pytest.fixture
def clocked(redis_url: str) -> Iterator[ClockedRedis]:
    with clocked_client(redis_url) as client:
        client.on_call = lambda _: None
        client.set_clock(START_MS)
        yield client


def arrive(client: "redis.Redis", *batches: str) -> None:
    Inbox(client).accept([Arrival(batch, "batch.succeeded", "static") for batch in batches])


def test_who_is_paused_is_known_since_when(clocked: ClockedRedis) -> None:
    paused, begun_ms = PausedProjects(clocked), clocked.now_ms
    assert paused.pause(["", "acme"]) == ["", "acme"]
    clocked.set_clock(begun_ms + 1000)
    assert paused.pause(["acme", "other"]) == ["other"]
    assert fetch_paused(clocked) == {"": begun_ms, "acme": begun_ms, "other": begun_ms + 1000}
    assert paused.resume(["acme", "never"]) == ["acme"]
    assert fetch_paused(clocked) == {"": begun_ms, "other": begun_ms + 1000}


@pytest.mark.parametrize(("project", "left"), [("acme", [OTHERS]), ("", [OURS])])
def test_nobody_takes_what_is_of_a_paused_project(
    clocked: ClockedRedis, project: str, left: list[str]
) -> None:
    PausedProjects(clocked).pause([project])
    arrive(clocked, OURS, OTHERS)
    clocked.set_clock(clocked.now_ms + GRACE_MS)
    inbox = Inbox(clocked)
    assert inbox.take_due() == left
    assert [batch for batch in (OURS, OTHERS) if inbox.claim(batch)] == left


def test_a_claim_leaves_it_for_later(clocked: ClockedRedis) -> None:
    arrive(clocked, OURS)
    PausedProjects(clocked).pause(["acme"])
    assert Inbox(clocked).claim(OURS) is None
    assert clocked.zscore(DUE, OURS) == clocked.now_ms + RESUMED_WITHIN_S * 1000
    assert Inbox(clocked).entries([OURS])[OURS].state == "open"


def test_it_goes_on_within_a_minute(clocked: ClockedRedis) -> None:
    paused, inbox = PausedProjects(clocked), Inbox(clocked)
    paused.pause(["acme"])
    arrive(clocked, OURS)
    clocked.set_clock(clocked.now_ms + GRACE_MS)
    assert inbox.take_due() == []
    paused.resume(["acme"])
    assert inbox.take_due() == []
    clocked.set_clock(clocked.now_ms + RESUMED_WITHIN_S * 1000)
    assert inbox.take_due() == [OURS]
    assert inbox.claim(OURS) is not None


def test_many_of_it_keep_nobody_waiting(clocked: ClockedRedis) -> None:
    PausedProjects(clocked).pause(["acme"])
    arrive(clocked, *(f"acme/batches/{number}" for number in range(20)))
    arrive(clocked, OTHERS)
    clocked.set_clock(clocked.now_ms + GRACE_MS)
    inbox, most_scanned = Inbox(clocked), 20
    assert inbox._run("due", 1, GRACE_MS, 60, 60, most_scanned) == []  # noqa: SLF001
    assert inbox._run("due", 1, GRACE_MS, 60, 60, most_scanned) == [OTHERS.encode()]  # noqa: SLF001


def test_what_a_worker_has_is_finished(clocked: ClockedRedis) -> None:
    arrive(clocked, OURS)
    inbox = Inbox(clocked)
    lease = inbox.claim(OURS)
    assert lease is not None
    PausedProjects(clocked).pause(["acme"])
    inbox.renew(lease)
    assert inbox.postpone(lease, 0, "no", "waits") == "open"


def test_its_submissions_wait_too(clocked: ClockedRedis) -> None:
    PausedProjects(clocked).pause(["acme"])
    for project in ("acme", ""):
        accept_submission(clocked, SubmissionName(project, "1" * 20))
    clocked.set_clock(clocked.now_ms + GRACE_MS)
    submissions = open_ledgers(clocked).submissions
    assert submissions.take_due() == [f"submissions/{'1' * 20}"]


def test_other_bytes_pause_nothing(clocked: ClockedRedis) -> None:
    clocked.set(PAUSED, "no hash")
    arrive(clocked, OURS)
    assert fetch_paused(clocked) == {}
    assert Inbox(clocked).claim(OURS) is not None
