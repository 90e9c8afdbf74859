"""A submission goes from its acceptance to its end, whatever comes between."""

import time
from decimal import Decimal

import httpx
import msgspec
import pytest

from receiver.batch_names import SubmissionName
from receiver.gemini.batches import Gemini
from receiver.inbox.entry_fields import Standing
from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledger import Arrival
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.policy import Policy
from tests.workers.submissions.advancing import MODEL, Advancing, let_calls_age
from workers.advance import advance_submission

BAD_REQUEST = httpx.Response(
    400, json={"error": {"status": "INVALID_ARGUMENT", "message": "no such model"}}
)
BAD_KEY = httpx.Response(
    403, json={"error": {"status": "PERMISSION_DENIED", "message": "API key not valid"}}
)
DOWN = httpx.Response(503, json={"error": {"status": "UNAVAILABLE", "message": "overloaded"}})


def test_accepted_submission_becomes_batches(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=3, per_part=1)
    assert open_queue(advancing.client).count == 1
    entry = submitted.advance()
    assert (entry.state, entry.cause) == ("open", "3 batches are under way")
    assert advancing.created == len(submitted.batches()) == 3
    assert [one.display_name for one in submitted.at_gemini()] == [
        f"{submitted.submission.spec.display_name} {part} of 3" for part in (3, 2, 1)
    ]
    assert entry.standing == Standing(
        display_name=submitted.submission.spec.display_name,
        model=MODEL,
        state="running",
        requests=3,
        parts=3,
        at_gemini=3,
        max_rounds=submitted.records.read_policy().rounds,
        cost=Decimal(0),
    )


def test_what_a_submission_did_so_far_stands_with_its_entry(advancing: Advancing) -> None:
    submitted = advancing.submit(2, 1, Policy(rounds=1), text="[sandbox:empty x1]")
    submitted.advance()
    submitted.store_batches()
    standing = submitted.advance().standing
    assert standing is not None
    assert (standing.parts, standing.stored, standing.answered) == (4, 2, 0)
    assert (standing.at_gemini, standing.rounds, standing.max_rounds) == (2, 1, 1)
    advancing.ledgers.submissions.accept([Arrival(submitted.name, "submission", "submit")])
    assert advancing.ledgers.submissions.entries([submitted.name])[submitted.name].standing


def test_stored_batch_wakes_its_submission(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    submitted.advance()
    assert not advancing.ledgers.submissions.has_due()
    submitted.store_batches()
    assert advancing.ledgers.submissions.has_due()
    entry = submitted.advance()
    assert (entry.state, entry.summary.state) == ("done", "completed")
    manifest = submitted.records.read_manifest()
    assert manifest is not None
    assert (manifest.answered, manifest.balanced) == (1, True)


def test_buried_batch_wakes_its_submission(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    submitted.advance()
    (name,) = submitted.batches()
    advancing.ledgers.batches.accept([Arrival(name, "batch.succeeded", "static")])
    lease = advancing.ledgers.batches.claim(name)
    assert lease is not None
    advancing.ledgers.batches.bury(lease, "unreadable", submission=submitted.name)
    assert advancing.ledgers.submissions.has_due()
    assert submitted.advance().cause == f"{name} waits for a person: unreadable"


def test_batch_whose_results_are_gone_ends_the_wait(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    submitted.advance()
    (name,) = submitted.batches()
    advancing.ledgers.batches.accept([Arrival(name, "batch.succeeded", "static")])
    lease = advancing.ledgers.batches.claim(name)
    assert lease is not None
    summary = msgspec.structs.replace(submitted.entry.summary, expired="they are gone")
    assert advancing.ledgers.batches.expire(lease, summary, "gone", submitted.name)
    assert advancing.ledgers.submissions.has_due()
    entry = submitted.advance()
    assert (entry.state, entry.summary.state) == ("done", "stopped")


def test_refusal_for_lack_of_room_is_patience(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    advancing.gate.what = "refuse"
    entry = submitted.advance()
    assert (entry.state, entry.attempts) == ("open", 0)
    assert entry.cause == "Gemini refused to enqueue more for now"
    advancing.gate.what = "pass"
    submitted.wake()
    assert submitted.advance().cause == "Gemini refused to enqueue more for now"
    assert advancing.created == 0  # the pause holds, whoever asks

    advancing.client.flushall()
    submitted.accept()
    assert submitted.advance().cause == "1 batch is under way"


def test_refused_batch_is_buried_and_tried_again_when_asked(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    advancing.gate.what, advancing.gate.refusal = "refuse", BAD_REQUEST
    entry = submitted.advance()
    assert (entry.state, entry.fault) == ("buried", "batch")
    assert "no such model" in entry.cause
    assert entry.cause.startswith("Gemini refused the batch of part 1: ")
    advancing.gate.what = "pass"
    submitted.accept()
    assert submitted.advance().cause == "1 batch is under way"


@pytest.mark.parametrize("refusal", [BAD_KEY, DOWN])
def test_outage_is_waited_for(advancing: Advancing, refusal: httpx.Response) -> None:
    submitted = advancing.submit(requests=2, per_part=1)
    advancing.gate.where = ""
    advancing.gate.what, advancing.gate.refusal = "refuse", refusal
    for outages in (1, 2, 3):
        submitted.wake()
        entry = submitted.advance()
        assert (entry.state, entry.attempts, entry.outages) == ("open", 0, outages)
    advancing.gate.what = "pass"
    submitted.wake()
    entry = submitted.advance()
    assert (entry.cause, entry.outages) == ("2 batches are under way", 0)
    assert len(submitted.at_gemini()) == 2


def test_lost_answer_is_looked_for(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=2, per_part=1)
    advancing.gate.what = "lose"
    entry = submitted.advance()
    assert "nobody knows whether Gemini made the batch of part 1" in entry.cause
    advancing.gate.what = "pass"
    submitted.wake()
    assert submitted.advance().cause == "2 batches are under way"
    assert len(submitted.at_gemini()) == 2


def test_request_that_never_arrived_holds_no_job(advancing: Advancing) -> None:
    """It is looked for again and again, seconds apart, and each look ends at once."""
    submitted = advancing.submit(requests=2, per_part=1)
    advancing.gate.what = "drop"
    submitted.advance()
    advancing.gate.what = "pass"
    for _ in range(3):
        submitted.wake()
        started = time.monotonic()
        entry = submitted.advance()
        assert time.monotonic() - started < 10
        assert entry.cause.startswith("an earlier call may have created the batch of part 1")
        assert (entry.attempts, entry.waits) == (0, 0)
    assert submitted.at_gemini() == []

    let_calls_age(submitted)
    submitted.wake()
    assert submitted.advance().cause == "2 batches are under way"
    assert len(submitted.at_gemini()) == 2
    attempts = submitted.records.attempts(submitted.submission.parts[0])
    assert [one.is_absent for one in attempts] == [True, False]


def test_batch_that_shows_up_late_is_taken(advancing: Advancing) -> None:
    """It was given up, and another one has not been created yet."""
    submitted = advancing.submit(requests=1)
    advancing.gate.what = "lose"
    submitted.advance()
    advancing.gate.what = "pass"
    (part,) = submitted.submission.parts
    submitted.records.record_absence(part, 1)
    submitted.wake()
    assert submitted.advance().cause == "1 batch is under way"
    assert advancing.created == 1


def test_paused_one_creates_nothing_until_it_is_resumed(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    submitted.order("pause", 1.0)
    assert submitted.advance().cause == "it is paused: `submissions resume` goes on"
    assert advancing.created == 0
    submitted.order("run", 2.0)
    assert submitted.advance().cause == "1 batch is under way"


def test_cancelled_one_ends_with_what_it_has(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=2, per_part=1)
    submitted.advance()
    submitted.order("cancel", 1.0)
    submitted.advance()
    assert submitted.records.has_mark(submitted.submission.parts[0], "cancelled")
    entry = submitted.finish()
    manifest = submitted.records.read_manifest()
    assert manifest is not None
    assert (entry.summary.state, manifest.reason, manifest.balanced) == (
        "stopped",
        "cancelled",
        True,
    )


def test_finished_one_goes_on_when_more_is_allowed(advancing: Advancing) -> None:
    policy = Policy(rounds=0, max_cost=Decimal(1))
    submitted = advancing.submit(2, 1, policy, most_cost=Decimal(1))
    entry = submitted.finish()
    assert (entry.summary.state, advancing.created) == ("stopped", 1)
    submitted.records.write_policy(Policy(rounds=0, max_cost=Decimal(2)))
    submitted.order("run", 7.0)
    assert submitted.advance().state == "open"
    entry = submitted.finish()
    manifest = submitted.records.read_manifest()
    assert manifest is not None
    assert (entry.summary.state, manifest.ordered_at, manifest.answered) == ("completed", 7.0, 2)


def test_word_that_comes_while_it_ends_is_heard(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    submitted.advance()
    submitted.store_batches()
    ledger = advancing.ledgers.submissions
    lease = ledger.claim(submitted.name)
    assert lease is not None
    submitted.order("run", 9.0)
    assert ledger.finish(lease, submitted.entry.summary)
    assert ledger.has_due()
    assert submitted.advance().state == "done"
    manifest = submitted.records.read_manifest()
    assert manifest is not None
    assert manifest.ordered_at == 9.0


def test_overdue_batch_is_told_of_and_cancelled_once(advancing: Advancing) -> None:
    policy = Policy(rounds=0, overdue_s=500.0, rescue_after_s=500.0)
    submitted = advancing.submit(1, 1, policy)
    submitted.advance()
    let_calls_age(submitted)
    submitted.wake()
    submitted.advance()
    (part,) = submitted.submission.parts
    assert submitted.records.has_mark(part, "overdue")
    assert submitted.records.has_mark(part, "cancelled")
    calls = len(advancing.gate.paths)
    submitted.wake()
    submitted.advance()
    assert len(advancing.gate.paths) == calls


def test_overdue_batch_that_had_ended_goes_to_a_worker(advancing: Advancing) -> None:
    """No webhook told of it, and nobody reconciles."""
    submitted = advancing.submit(1, 1, Policy(rounds=0, overdue_s=500.0))
    submitted.advance()
    submitted.wait_for_batches()
    let_calls_age(submitted)
    submitted.wake()
    submitted.advance()
    (name,) = submitted.batches()
    assert advancing.ledgers.batches.entries([name])[name].source == "reconcile"


def test_batch_that_is_gone_is_found_again_after_a_wiped_redis(advancing: Advancing) -> None:
    """Gemini lists it no more, and a notice told of it before."""
    submitted = advancing.submit(1, 1, Policy(rounds=0, overdue_s=500.0))
    submitted.advance()
    let_calls_age(submitted)
    submitted.wake()
    submitted.advance()
    (name,) = submitted.batches()
    with Gemini(advancing.gate.upstream, "right-key") as gemini:
        gemini.delete_batch(name)
    advancing.client.flushall()
    accept_submission(advancing.client, SubmissionName.parse(submitted.name))
    submitted.advance()
    assert advancing.ledgers.batches.entries([name])[name].source == "reconcile"


def test_unknown_submission_is_buried_with_the_reason(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    plan = advancing.storage.root / "_submissions" / submitted.submission.id / "plan.json"
    plan.unlink()
    entry = submitted.advance()
    assert entry.state == "buried"
    assert "is STORAGE_URL the right one?" in entry.cause


def test_job_of_nobody_does_nothing(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    advancing.client.flushall()
    advance_submission(submitted.name)
    assert advancing.gate.paths == []
    assert advancing.client.dbsize() == 0
