"""A submission goes from its acceptance to its end, whoever works on it and whatever comes between."""

from receiver.inbox.job_queue import open_queue
from tests.workers.submissions.advancing import Advancing


def test_accepted_submission_becomes_batches(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=3, per_part=1)
    assert open_queue(advancing.client).count == 1
    entry = submitted.advance()
    assert (entry.state, entry.cause) == ("open", "3 batches are under way")
    assert advancing.created == len(submitted.batches()) == 3
    assert [one.display_name for one in submitted.at_gemini()] == [
        f"{submitted.submission.spec.display_name} {part} of 3" for part in (3, 2, 1)
    ]


def test_stored_batch_wakes_its_submission(advancing: Advancing) -> None:
    submitted = advancing.submit(requests=1)
    submitted.advance()
    assert not advancing.ledgers.submissions.has_due()
    submitted.store_batches()
    assert advancing.ledgers.submissions.has_due()
    entry = submitted.advance()
    assert (entry.state, entry.summary.state) == ("done", "completed")
