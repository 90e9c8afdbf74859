"""The job that sends the failed requests of a stored batch again, as the status page asks for it."""

import pytest

from receiver.batch_names import SubmissionName
from receiver.inbox.job_queue import JobQueue, open_queue
from receiver.inbox.redis import SENDING_AGAIN
from receiver.submissions.again import (
    SILENT_S,
    Wish,
    ask_to_send_again,
    read_sent_again,
    read_wish,
    tell_wish,
)
from receiver.submissions.batch_links import link_resubmission, read_links
from receiver.submissions.records import FOLDER, SubmissionRecords
from tests import nasty
from tests.workers.stored_batches import used
from tests.workers.storing import change_manifest, put_input, store
from tests.workers.submissions.advancing import MODEL, Advancing
from tests.workers.submissions.stored_submissions import request
from workers.job.shared_memory import clear_stop_flags, request_shutdown
from workers.submissions.sending_again import STOPPED, send_failed_again
from workers.worker.rq_jobs import OwnJob

BATCH = "batches/b1"


@pytest.fixture
def stored(advancing: Advancing) -> Advancing:
    """A batch with an answer, an error that may pass, and one that will not."""
    put_input(advancing.storage, b"".join(request(key) for key in ("k1", "k2", "k3")))
    store(
        advancing.storage,
        b"\n".join((used("k1"), nasty.failure("k2", 8), nasty.failure("k3", 3))),
        3,
    )
    change_manifest(advancing.storage, model=f"models/{MODEL}")
    return advancing


def wish_of(world: Advancing) -> Wish:
    wish = read_wish(world.client, BATCH)
    assert wish is not None
    return wish


def ask(world: Advancing) -> Wish:
    """Ask, and do the job."""
    assert ask_to_send_again(world.client, BATCH)
    send_failed_again(BATCH)
    return wish_of(world)


def test_what_may_succeed_becomes_a_submission(stored: Advancing) -> None:
    wish = ask(stored)
    assert wish.state == "sent"
    name = SubmissionName.parse(wish.text)
    plan = SubmissionRecords(stored.storage, name.id).read_plan()
    assert plan is not None
    assert (plan.requests, plan.spec.retry_of) == (1, BATCH)
    assert (plan.spec.model, plan.spec.display_name) == (MODEL, "retry of b1")
    assert stored.ledgers.submissions.entries([wish.text])[wish.text].state == "open"
    assert read_sent_again(stored.storage, BATCH).submissions == [wish.text]


def test_asked_twice_it_is_sent_once(stored: Advancing) -> None:
    assert ask_to_send_again(stored.client, BATCH)
    assert not ask_to_send_again(stored.client, BATCH)
    send_failed_again(BATCH)
    assert wish_of(stored).state == "sent"
    assert ask(stored).state == "waiting"
    assert len(read_sent_again(stored.storage, BATCH).submissions) == 1


def test_what_never_succeeds_is_not_sent(stored: Advancing) -> None:
    put_input(stored.storage, b"".join(request(key) for key in ("k1", "k3")), "b2")
    store(stored.storage, b"\n".join((used("k1"), nasty.failure("k3", 3))), 2, batch_id="b2")
    assert ask_to_send_again(stored.client, "batches/b2")
    send_failed_again("batches/b2")
    wish = read_wish(stored.client, "batches/b2")
    assert wish is not None
    assert wish.state == "nothing"


def test_what_failed_once_more_is_a_wish_of_its_own(stored: Advancing) -> None:
    put_input(stored.storage, b"".join(request(key) for key in ("k8", "k9")), "b2")
    store(stored.storage, nasty.failure("k9", 8), 2, batch_id="b2", model=f"models/{MODEL}")
    assert ask_to_send_again(stored.client, "batches/b2")
    send_failed_again("batches/b2")
    (other,) = read_links(stored.storage, "batches/b2")
    link_resubmission(stored.storage, BATCH, other)  # that brought nothing of this batch
    plan = SubmissionRecords(stored.storage, ask(stored).text.rpartition("/")[2]).read_plan()
    assert plan is not None
    assert plan.spec.display_name == "retry 2 of b1"


def test_another_job_that_plans_the_same_at_once_sends_it_once(stored: Advancing) -> None:
    """It has linked its submission, and is about to plan it: this is the same submission."""
    first = ask(stored)
    (planned,) = read_links(stored.storage, BATCH)
    for name in stored.storage.list_names(f"{FOLDER}/{planned}"):
        stored.storage.delete(name)
    assert ask(stored).text == first.text
    assert read_links(stored.storage, BATCH) == [planned]


def test_who_asked_is_told_why_it_failed(stored: Advancing) -> None:
    change_manifest(stored.storage, model=None)
    wish = ask(stored)
    assert wish.state == "failed"
    assert "resubmit b1 --model MODEL` does" in wish.text
    change_manifest(stored.storage, model="models/no-such-model")
    assert "no-such-model" in ask(stored).text


def test_a_cap_on_the_cost_holds(stored: Advancing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILY_COST_CAP", "0.01")
    wish = ask(stored)
    assert (wish.state, "DAILY_COST_CAP" in wish.text) == ("failed", True)
    assert read_sent_again(stored.storage, BATCH).submissions == []


def test_a_batch_that_is_not_stored_is_refused(advancing: Advancing) -> None:
    wish = ask(advancing)
    assert (wish.state, wish.text) == ("failed", "batches/b1 is not stored")


def test_a_worker_that_has_to_end_says_so(stored: Advancing) -> None:
    request_shutdown()
    try:
        assert (ask(stored).state, wish_of(stored).text) == ("failed", STOPPED)
    finally:
        clear_stop_flags()
    assert read_sent_again(stored.storage, BATCH).submissions == []


def test_a_job_that_nobody_asked_for_does_nothing(stored: Advancing) -> None:
    send_failed_again(BATCH)
    tell_wish(stored.client, BATCH, "nothing")
    send_failed_again(BATCH)
    assert wish_of(stored).state == "nothing"
    assert read_sent_again(stored.storage, BATCH).submissions == []


def test_a_wish_of_which_nobody_hears_may_be_said_again(advancing: Advancing) -> None:
    client = advancing.client
    tell_wish(client, BATCH, "running")
    wish = wish_of(advancing)
    assert wish.is_under_way(wish.at_ms + SILENT_S * 1000 - 1)
    assert not wish.is_under_way(wish.at_ms + SILENT_S * 1000)
    for foreign in (b"[]", b'{"x":' * 5_000):
        client.set(SENDING_AGAIN + BATCH, foreign)
        assert read_wish(client, BATCH) is None
    assert ask_to_send_again(client, BATCH)
    assert 0 < client.ttl(SENDING_AGAIN + BATCH) <= 3600


def test_its_job_is_ours_and_no_job_that_stores(advancing: Advancing) -> None:
    assert ask_to_send_again(advancing.client, BATCH)
    queue = open_queue(advancing.client)
    job = OwnJob.fetch(
        queue.get_job_ids()[0], connection=advancing.client, serializer=queue.serializer
    )
    assert isinstance(job, OwnJob)
    assert (job.refusal, job.func, job.args) == ("", send_failed_again, [BATCH])
    assert JobQueue(advancing.client).enqueue_missing([BATCH]) == 1
