"""Room that an event frees is taken by the submission that waits longest for it."""

import time

import pytest

from receiver.inbox.redis import ROOM_LINE
from tests.workers.submissions.advancing import MODEL, Advancing, Submitted
from workers.job.context import current_settings

LINE = f"{ROOM_LINE}:{MODEL}"


@pytest.fixture
def crowded(advancing: Advancing, monkeypatch: pytest.MonkeyPatch) -> Advancing:
    """One batch fills all the room that there is."""
    monkeypatch.setenv("ENQUEUED_TOKENS", f"{MODEL}=10")
    current_settings.cache_clear()
    return advancing


def submit(world: Advancing, requests: int = 1) -> Submitted:
    return world.submit(requests, 1, tokens=8)


def is_due(submitted: Submitted) -> bool:
    score = submitted.world.client.zscore("gbr:submissions:due", submitted.name)
    return score is not None and score <= time.time() * 1000


def rest(submitted: Submitted) -> None:
    """Let it find no room, twice: at first it looks again at once."""
    assert "may be enqueued now" in submitted.advance().cause
    submitted.accept()
    assert "may be enqueued now" in submitted.advance().cause
    assert not is_due(submitted)


def test_room_that_is_freed_is_taken_in_turn(crowded: Advancing) -> None:
    first, second, third = (submit(crowded) for _ in range(3))
    first.advance()
    rest(second)
    rest(third)
    first.store_batches()
    assert first.advance().state == "done"
    assert (is_due(second), is_due(third)) == (True, False)
    assert second.advance().cause == "1 batch is under way"
    assert is_due(third)
    rest(third)
    assert crowded.created == 2


def test_place_in_line_is_that_of_the_acceptance(crowded: Advancing) -> None:
    first, second, third = (submit(crowded) for _ in range(3))
    first.advance()
    rest(third)
    rest(second)
    in_line = [second.name.encode(), third.name.encode()]
    assert crowded.client.zrange(LINE, 0, -1) == in_line


def test_who_comes_into_the_line_looks_again_at_once(crowded: Advancing) -> None:
    first, second = submit(crowded), submit(crowded)
    first.advance()
    second.advance()
    score = crowded.client.zscore("gbr:submissions:due", second.name)
    assert score is not None
    assert score / 1000 < time.time() + 5


def test_submission_that_has_ended_is_not_opened_again(crowded: Advancing) -> None:
    first, second = submit(crowded), submit(crowded)
    second.finish()
    crowded.client.zadd(LINE, {second.name: 1})
    first.advance()
    assert second.entry.state == "done"
    assert not crowded.client.exists(LINE)


def test_foreign_bytes_in_the_line_do_no_harm(crowded: Advancing) -> None:
    crowded.client.set(LINE, "not a line")
    submitted = submit(crowded)
    assert submitted.advance().cause == "1 batch is under way"
    crowded.client.zadd(LINE, {b"\xff": 1})
    submitted.store_batches()
    assert submitted.advance().state == "done"
    assert not crowded.client.exists(LINE)
