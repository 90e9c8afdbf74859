"""What a run opens again, and what it ends: outages that have passed, and expired results."""

import logging
from collections.abc import Iterator

import pytest

from receiver.errors import Fault
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import MAX_ATTEMPTS, Arrival
from receiver.inbox.redis import ENTRY
from tests.receiver.listing import ago
from tests.receiver.reconciling import Stage, staging


@pytest.fixture
def stage(redis_url: str, storage_url: str) -> Iterator[Stage]:
    with staging(redis_url, storage_url) as stage:
        yield stage


def owe(stage: Stage, name: str) -> None:
    stage.inbox.accept([Arrival(name, "batch.succeeded", "static")])


def bury(stage: Stage, name: str, cause: str, fault: Fault | None) -> None:
    """`fault` None is how the version before buried."""
    owe(stage, name)
    lease = stage.inbox.claim(name)
    assert lease is not None
    stage.inbox.bury(lease, cause, fault or "batch")
    if fault is None:
        stage.client.hdel(ENTRY + name, "fault")


def state(stage: Stage, name: str) -> str:
    return stage.inbox.entries([name])[name].state


@pytest.mark.parametrize("fault", ["outside", "refused"])
def test_outage_that_has_passed_is_opened(stage: Stage, fault: Fault) -> None:
    """However long ago the batch ended: it is before the mark of the last complete look."""
    stage.reconcile()
    name = stage.listing.add("one", ended=ago(days=5), file=[200])
    bury(stage, name, "Gemini was away", fault)
    report = stage.reconcile()
    assert (report.counts.queued, report.reopened, report.missed) == ([name], [name], [])
    assert state(stage, name) == "open"


def test_what_the_version_before_buried_is_opened(stage: Stage) -> None:
    name = stage.listing.add("one", ended=ago(hours=5), file=[200])
    bury(stage, name, "Gemini did not give batches/one (503 UNAVAILABLE: try again)", None)
    assert stage.reconcile().reopened == [name]


@pytest.mark.parametrize("status", [404, 403, 503])
def test_outage_that_lasts_opens_nothing(stage: Stage, status: int) -> None:
    name = stage.listing.add("one", ended=ago(hours=5), file=[status])
    bury(stage, name, "Gemini was away", "outside")
    assert (stage.reconcile().reopened, state(stage, name)) == ([], "buried")


def test_what_a_person_buried_stays(stage: Stage) -> None:
    names = [
        stage.listing.add(one, ended=ago(hours=5), file=[200]) for one in ("one", "two", "three")
    ]
    for name in names:
        owe(stage, name)
    stage.inbox.bury_by_hand(names[:1], "no answer from Gemini for batches/one: I looked")
    stage.inbox.bury_by_hand(names[1:], "by hand")
    stage.client.hdel(ENTRY + names[1], "fault")  # of the version before
    stage.inbox.bury_by_hand(names[2:], "Gemini says nonsense")
    stage.client.hdel(ENTRY + names[2], "fault")
    report = stage.reconcile()
    assert (report.reopened, report.counts.buried) == ([], 3)


@pytest.mark.parametrize("fault", ["outside", None])
def test_what_a_person_buried_after_an_outage_stays(stage: Stage, fault: Fault | None) -> None:
    name = stage.listing.add("one", ended=ago(hours=5), file=[200])
    bury(stage, name, "Gemini did not give batches/one (503 UNAVAILABLE: try again)", fault)
    assert stage.inbox.bury_by_hand([name], "wrong prompt") == [name]
    assert stage.inbox.entries([name])[name].cause == "wrong prompt"
    assert stage.inbox.bury_by_hand([name], "wrong prompt") == []
    assert (stage.reconcile().reopened, state(stage, name)) == ([], "buried")


@pytest.mark.parametrize("is_old", [True, False])
def test_what_crashed_stays(stage: Stage, *, is_old: bool) -> None:
    name = stage.listing.add("one", ended=ago(hours=5), file=[200])
    owe(stage, name)
    for _ in range(MAX_ATTEMPTS):
        lease = stage.inbox.claim(name)
        assert lease is not None
        stage.inbox.postpone(
            lease, 0, "the process of its job was killed by SIGKILL: out of memory?", "attempts"
        )
    if is_old:
        stage.client.hdel(ENTRY + name, "fault")
    assert (stage.reconcile().reopened, state(stage, name)) == ([], "buried")


def test_expired_history_is_one_line(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The first look of an installation sees batches whose results are long gone."""
    caplog.set_level(logging.INFO, "receiver.recovery.reconcile")
    gone = [
        stage.listing.add(f"gone{number}", ended=ago(days=9), file=[404]) for number in range(4)
    ]
    kept = stage.listing.add("kept", ended=ago(days=9), file=[200])
    passing = stage.listing.add("passing", ended=ago(days=9), file=[403, 200])
    away = stage.listing.add("away", ended=ago(days=9), file=[503])
    young = stage.listing.add("young", ended=ago(hours=20), file=[404])
    report = stage.reconcile()
    assert report.counts.expired == gone
    assert report.counts.queued == [kept, passing, away, young]
    assert set(stage.inbox.entries(gone)) == set()
    lines = [record for record in caplog.records if record.message == "reconcile.expired"]
    assert [(line.levelno, line.__dict__["batches"]) for line in lines] == [(logging.INFO, 4)]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_expired_batch_is_not_taken_again(stage: Stage) -> None:
    name = stage.listing.add("one", ended=ago(days=9), file=[200])
    owe(stage, name)
    lease = stage.inbox.claim(name)
    assert lease is not None
    assert stage.inbox.expire(
        lease, Summary(expired="its results are gone"), "its results are gone"
    )
    report = stage.reconcile()
    assert (report.counts.queued, report.counts.expired) == ([], [name])
