"""Whoever dies or freezes at whatever point: a request that is sent alone is paid for once at most."""

import os
import signal
from decimal import Decimal

import pytest

from receiver.telemetry.metrics.definitions import ModelCost
from receiver.telemetry.metrics.history import fetch_history
from tests.waiting import eventually
from tests.workers.submissions.advancing import Advancing, Submitted
from tests.workers.submissions.dying import job
from tests.workers.submissions.test_flex import manifest_of, payments
from tests.workers.submissions.test_kills import MAX_EFFECTS, environ

REQUESTS = 2


def finish(submitted: Submitted) -> None:
    """Workers come by until the part is stored."""

    def is_done() -> bool:
        submitted.wake()
        return submitted.advance().state == "done"

    eventually(is_done, 30, "the end of the submission")


def check(submitted: Submitted) -> int:
    """Every request has one line, and was paid for once at most. Gives how many answers were lost."""
    manifest, paid = manifest_of(submitted), payments(submitted)
    assert (manifest.requests, manifest.missing, manifest.balanced) == (REQUESTS, 0, True)
    assert len(set(paid)) == len(paid)
    assert manifest.outcomes["ok"] + manifest.outcomes["error"] == REQUESTS
    assert manifest.outcomes["ok"] <= len(paid)
    assert (manifest.cost == "unknown") == bool(manifest.outcomes["error"])
    return manifest.outcomes["error"]


def count_costs(advancing: Advancing) -> ModelCost:
    costs = (slot.costs.values() for slot in fetch_history(advancing.client))
    return sum((cost for some in costs for cost in some), ModelCost())


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_job_ends_after_each_effect(advancing: Advancing, sign: signal.Signals) -> None:
    """A frozen one goes on after another has stored the part, and does not know it yet."""
    lost, spent = list[int](), Decimal(0)
    for end in range(1, MAX_EFFECTS):
        submitted = advancing.submit(REQUESTS, REQUESTS, lane="flex")
        with job(environ(), submitted.name, end, sign) as (process, is_reached):
            finish(submitted)
            if is_reached and sign is signal.SIGSTOP and process.pid is not None:
                os.kill(process.pid, signal.SIGCONT)
            process.join(30)
        lost.append(check(submitted))
        spent += manifest_of(submitted).dollars or 0
        assert count_costs(advancing) == ModelCost(spent, end, sum(map(bool, lost)))
        if not is_reached:
            assert end > 10
            assert max(lost) == REQUESTS
            assert not lost[-1]
            return
    pytest.fail("the job never ended")
