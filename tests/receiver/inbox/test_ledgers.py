"""Submissions have entries of their own, which no batch's name reaches."""

import pytest
import redis

from receiver.batch_names import BatchName, SubmissionName
from receiver.errors import EventError
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.job_queue import JobQueue, open_queue
from receiver.inbox.ledger import Arrival, Lease
from receiver.inbox.ledgers import Ledgers, open_ledgers
from receiver.inbox.redispatch import sweep

ID = "5d41402abc4b2a76b971"
NAME = f"acme/submissions/{ID}"


@pytest.fixture
def ledgers(client: "redis.Redis") -> Ledgers:
    return open_ledgers(client)


def open_and_claim(ledgers: Ledgers, name: str) -> Lease:
    ledgers.of(name).accept([Arrival(name, "submission", "submit", reopen="all")])
    lease = ledgers.of(name).claim(name)
    assert lease is not None
    return lease


def test_each_name_has_its_ledger(ledgers: Ledgers) -> None:
    assert ledgers.of(NAME) is ledgers.submissions
    assert ledgers.of("acme/batches/b1") is ledgers.batches


def test_names_are_read_back() -> None:
    name = SubmissionName("acme", ID)
    assert (str(name), SubmissionName.parse(NAME), SubmissionName.read(NAME)) == (NAME, name, name)
    for wrong in ("batches/b1", ID, f"submissions/{ID}x", f"Acme/submissions/{ID}"):
        assert SubmissionName.read(wrong) is None
        with pytest.raises(EventError, match="20 hex digits"):
            SubmissionName.parse(wrong)
    assert SubmissionName.of_batch(BatchName("acme", "b1"), f"{ID}.3.0123456789ab") == name
    assert SubmissionName.of_batch(BatchName("acme", "b1"), None) is None


def test_entry_of_a_submission_is_no_batch(ledgers: Ledgers) -> None:
    open_and_claim(ledgers, NAME)
    assert ledgers.batches.entries([NAME]) == {}
    entry = ledgers.submissions.entries([NAME])[NAME]
    assert (entry.project, entry.state, entry.event) == ("acme", "leased", "submission")


def test_sweep_enqueues_both(ledgers: Ledgers, client: "redis.Redis") -> None:
    for name in (NAME, "batches/b1"):
        ledgers.of(name).accept([Arrival(name, "x", "reconcile")])
        client.hset(
            f"gbr:{'' if 'batches' in name else 'submissions:'}entry:{name}", "rung_until", 0
        )
    assert sweep(ledgers, JobQueue(client)) == 2
    assert open_queue(client).count == 2


def test_end_of_a_batch_wakes_an_open_submission(ledgers: Ledgers) -> None:
    ledgers.submissions.rest(open_and_claim(ledgers, NAME), 3600, "it waits")
    ledgers.batches.finish(open_and_claim(ledgers, "batches/b1"), Summary(), None, NAME)
    assert ledgers.submissions.take_due() == [NAME]


def test_end_of_a_batch_wakes_a_leased_submission(ledgers: Ledgers) -> None:
    lease = open_and_claim(ledgers, NAME)
    ledgers.batches.finish(open_and_claim(ledgers, "batches/b1"), Summary(), None, NAME)
    ledgers.submissions.rest(lease, 3600, "it waits")
    assert ledgers.submissions.has_due()


def test_end_of_a_batch_opens_no_submission(ledgers: Ledgers) -> None:
    """One without an entry is found by a reconcile run, and one that ended has ended."""
    ledgers.batches.finish(open_and_claim(ledgers, "batches/b1"), Summary(), None, NAME)
    assert ledgers.submissions.entries([NAME]) == {}
    ledgers.submissions.finish(open_and_claim(ledgers, NAME), Summary())
    ledgers.batches.finish(open_and_claim(ledgers, "batches/b2"), Summary(), None, NAME)
    assert ledgers.submissions.entries([NAME])[NAME].state == "done"


def test_rest_forgets_the_crashes_before(ledgers: Ledgers) -> None:
    ledgers.submissions.postpone(open_and_claim(ledgers, NAME), 0, "no", "attempts")
    lease = ledgers.submissions.claim(NAME)
    assert lease is not None
    assert lease.attempts == 1
    ledgers.submissions.look_again(lease, 0, "not yet")
    assert ledgers.submissions.entries([NAME])[NAME].attempts == 1
    lease = ledgers.submissions.claim(NAME)
    assert lease is not None
    ledgers.submissions.rest(lease, 0, "it waits")
    assert ledgers.submissions.entries([NAME])[NAME].attempts == 0


def test_one_that_is_asked_for_again_opens_with_the_reason(ledgers: Ledgers) -> None:
    lease, submissions = open_and_claim(ledgers, NAME), ledgers.submissions
    submissions.renew(lease, progress=JobProgress(stage="ask"))
    submissions.accept([Arrival(NAME, "submission", "submit", reopen="all")])
    assert submissions.keep(lease, Summary(), "asked again")
    entry = submissions.entries([NAME])[NAME]
    assert (entry.state, entry.cause, entry.progress) == ("open", "asked again", None)
    assert (entry.timeline[-1].what, entry.timeline[-1].detail) == ("again", "asked again")
