"""The worker as a process, with jobs of submissions: what becomes of one that is killed or told to end."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.chaos.system import children_of
from tests.running import running_program
from tests.waiting import eventually
from tests.workers.submissions.advancing import Advancing


@pytest.fixture
def worker(advancing: Advancing) -> Iterator[int]:
    with running_program(advancing.folder, {"RECONCILE_INTERVAL_S": "0"}, "worker") as pid:
        yield pid


def test_worker_runs_both_kinds_of_jobs(advancing: Advancing, worker: int) -> None:
    submitted = advancing.submit(requests=1)
    eventually(submitted.batches, 20, "the batch")
    assert children_of(worker) is not None
    entry = submitted.finish()
    assert entry.summary.state == "completed"


def test_killed_job_hands_its_submission_back_at_once(advancing: Advancing, worker: int) -> None:
    advancing.gate.what = "hold"
    submitted = advancing.submit(requests=1)
    assert advancing.gate.held.wait(20)
    advancing.gate.what = "pass"
    os.kill(children_of(worker)[0], signal.SIGKILL)
    eventually(lambda: submitted.entry.attempts == 1, 8, "the hand-back")
    assert "was killed by SIGKILL" in str(submitted.entry.timeline)


def test_stopped_worker_counts_no_attempt(advancing: Advancing, worker: int) -> None:
    advancing.gate.what = "hold"
    submitted = advancing.submit(requests=1)
    assert advancing.gate.held.wait(20)
    advancing.gate.what = "pass"
    os.kill(worker, signal.SIGTERM)
    eventually(lambda: submitted.entry.state == "open", 8, "the hand-back")
    assert (submitted.entry.attempts, submitted.entry.cause) == (0, "its worker was shut down")
