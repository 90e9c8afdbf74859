"""Whoever dies at whatever point, and whatever is lost: as many batches are created as planned."""

import os
import signal
from collections.abc import Mapping

import pytest

from receiver.submissions.unfinished import accept_unfinished
from tests.waiting import eventually
from tests.workers.submissions.advancing import Advancing, Submitted, let_calls_age
from tests.workers.submissions.dying import job

MAX_EFFECTS = 150  # of one job with two parts; more means that it goes round in circles
SETTINGS = ("GEMINI_API_KEY", "GEMINI_BASE_URL", "REDIS_URL", "STORAGE_URL", "RETRY_BASE_S")


def environ() -> Mapping[str, str]:
    return {name: os.environ[name] for name in SETTINGS}


def let_time_pass(submitted: Submitted) -> None:
    """Past the time for which a lost batch is looked for, and past every wait."""
    let_calls_age(submitted)
    submitted.wake()


def create_all(submitted: Submitted) -> None:
    """Workers come by until all batches are created."""

    def is_created() -> bool:
        submitted.wake()
        submitted.advance()
        if len(submitted.batches()) == len(submitted.submission.parts):
            return True
        let_time_pass(submitted)
        return False

    eventually(is_created, 30, "all batches")
    submitted.wake()
    submitted.advance()  # what a death left after the last record


def check(submitted: Submitted) -> None:
    """As many batches at Gemini as planned, each recorded, with its input beside it."""
    at_gemini = [batch.name for batch in submitted.at_gemini()]
    assert sorted(at_gemini) == sorted(submitted.batches())
    assert len(at_gemini) == len(submitted.submission.parts)
    for batch in at_gemini:
        folder = submitted.world.storage.root / batch.removeprefix("batches/")
        assert (folder / "_input.jsonl.gz").exists()
        assert (folder / "_submission.json").exists()


def test_killed_after_each_effect(advancing: Advancing) -> None:
    """And each third time, Redis is wiped, too."""
    for end in range(1, MAX_EFFECTS):
        submitted = advancing.submit(requests=2, per_part=1)
        with job(environ(), submitted.name, end) as (process, is_killed):
            process.join(20)
        if end % 3 == 0:
            advancing.client.flushall()
            assert submitted.name in accept_unfinished(advancing.client, advancing.storage, "")
        create_all(submitted)
        check(submitted)
        if not is_killed:
            assert end > 10
            return
    pytest.fail("the job never ended")


def test_frozen_after_each_effect_while_another_works(advancing: Advancing) -> None:
    """Its lease is taken over; then it goes on, and does not know it yet."""
    for end in range(1, MAX_EFFECTS):
        submitted = advancing.submit(requests=2, per_part=1)
        with job(environ(), submitted.name, end, signal.SIGSTOP) as (process, is_frozen):
            submitted.wake()
            submitted.advance()
            if is_frozen and process.pid is not None:
                os.kill(process.pid, signal.SIGCONT)
            submitted.wake()
            submitted.advance()
            process.join(30)
        create_all(submitted)
        check(submitted)
        if not is_frozen:
            return
    pytest.fail("the job never ended")
