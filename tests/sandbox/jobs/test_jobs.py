import asyncio
import json
from pathlib import Path

import pytest

from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.delivery.deliveries import Dispatcher
from deploy.sandbox.delivery.signing import DynamicKeys
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.faults.markers import Plan
from deploy.sandbox.jobs.jobs import Jobs
from deploy.sandbox.jobs.tries import Tries
from deploy.sandbox.ledger import Batch, Ledger, State
from tests.sandbox.api.test_batches import inline, rows_of
from tests.sandbox.conftest import Json, Sandbox, wait_for


def entry(key: str, text: str) -> Json:
    return {"key": key, "request": {"contents": [{"parts": [{"text": text}]}]}}


def waiting_job(folder: Path) -> tuple[Jobs, Batch, Dispatcher]:
    """A started job that stays PENDING for a minute, in this process."""
    config, ledger = SandboxConfig(folder, pending_s=60), Ledger()
    dispatcher = Dispatcher(config, ledger, Faults(), DynamicKeys())
    jobs = Jobs(config, ledger, dispatcher, Tries(Faults(), ledger.sightings))
    batch = Batch(1, "a", "generate", "models/m", None, 1)
    jobs.start(batch, Plan())
    return jobs, batch, dispatcher


@pytest.mark.parametrize(("marker", "state"), [("fail", "FAILED"), ("expire", "EXPIRED")])
def test_planned_failure_has_error(sandbox: Sandbox, marker: str, state: str) -> None:
    ended = sandbox.run(inline("a", "b", name=f"job [{marker}]"))
    assert ended["metadata"]["state"] == f"BATCH_STATE_{state}"
    assert ended["metadata"]["batchStats"] == {"requestCount": "2", "pendingRequestCount": "2"}
    assert ended["error"]["code"] > 0
    assert "response" not in ended


@pytest.mark.parametrize(
    ("fault", "state"),
    [("fail_jobs", "FAILED"), ("expire_jobs", "EXPIRED"), ("cancel_jobs", "CANCELLED")],
)
def test_fault_ends_one_job(sandbox: Sandbox, fault: str, state: str) -> None:
    sandbox.fault(**{fault: 1})
    ends = [sandbox.run(inline("a", "b"))["metadata"] for _ in range(2)]
    assert [end["state"] for end in ends] == [f"BATCH_STATE_{state}", "BATCH_STATE_SUCCEEDED"]
    assert ("output" in ends[0]) == (fault == "cancel_jobs")


def test_stuck_jobs_fault_holds_one_job(sandbox: Sandbox) -> None:
    sandbox.fault(stuck_jobs=1)
    stuck = sandbox.create(inline("a"))["name"]
    sandbox.run(inline("b"))
    assert sandbox.ask("GET", f"/v1/{stuck}")["metadata"]["state"] == "BATCH_STATE_RUNNING"


def test_row_fault_options_bend_the_next_job(sandbox: Sandbox) -> None:
    sandbox.fault(error_jobs=1, error_details=1, drop_metadata=1, shuffle_rows=1, inline_answers=1)
    bent, plain = (rows_of(sandbox.run(inline("a", "b"))) for _ in range(2))
    assert [sorted(row) for row in bent] == [["error"], ["error"]]
    assert all(isinstance(row["error"]["details"][0], dict) for row in bent)
    assert [sorted(row) for row in plain] == [["metadata", "response"]] * 2
    sandbox.fault(shuffle_rows=1, inline_answers=1)
    lines = b"".join(json.dumps(entry(str(number), "x")).encode() + b"\n" for number in range(20))
    ended = sandbox.run({"inputConfig": {"fileName": sandbox.upload(lines)}})
    keys = [int(row["key"]) for row in rows_of(ended)]
    assert keys != sorted(keys) == list(range(20))


def test_stuck_job_runs_on(sandbox: Sandbox) -> None:
    stuck = sandbox.create(inline("a", name="[stuck]"))["name"]
    sandbox.run(inline("b"))
    assert sandbox.ask("GET", f"/v1/{stuck}")["metadata"]["state"] == "BATCH_STATE_RUNNING"


def test_cancel_returns_after_the_end(tmp_path: Path) -> None:
    async def cancelled() -> State:
        jobs, batch, dispatcher = waiting_job(tmp_path)
        await asyncio.sleep(0)
        await jobs.cancel(batch)
        await dispatcher.close()
        return batch.state

    assert asyncio.run(cancelled()) is State.CANCELLED


def test_closed_jobs_leave_no_task(tmp_path: Path) -> None:
    async def closed() -> tuple[State, int]:
        jobs, batch, dispatcher = waiting_job(tmp_path)
        await asyncio.sleep(0)
        await jobs.close()
        await dispatcher.close()
        return batch.state, len(asyncio.all_tasks())

    assert asyncio.run(closed()) == (State.PENDING, 1)


def test_cancel_ends_job_at_once(sandbox: Sandbox) -> None:
    name = sandbox.create(inline("a", name="[stuck]"))["name"]
    sandbox.ask("POST", f"/v1/{name}:cancel")
    shown = sandbox.ask("GET", f"/v1/{name}")
    assert (shown["done"], shown["metadata"]["state"]) == (True, "BATCH_STATE_CANCELLED")
    assert shown["metadata"]["batchStats"]["pendingRequestCount"] == "1"


def test_cancel_leaves_ended_job(sandbox: Sandbox) -> None:
    ended = sandbox.run(inline("a"))
    assert sandbox.ask("POST", f"/v1/{ended['name']}:cancel") == {}
    assert sandbox.ask("GET", f"/v1/{ended['name']}") == ended


def test_cancelled_job_keeps_half(sandbox: Sandbox) -> None:
    name = sandbox.upload(
        b"".join(
            b'{"key":"%d","request":{"contents":[{"parts":[{"text":"x"}]}]}}\n' % n
            for n in range(5)
        )
    )
    ended = sandbox.run({"inputConfig": {"fileName": name}, "displayName": "[cancel-partial]"})
    assert ended["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert ended["metadata"]["batchStats"] == {
        "requestCount": "5",
        "pendingRequestCount": "2",
        "successfulRequestCount": "3",
    }
    lines = sandbox.result_lines({"response": ended["metadata"]["output"]})
    assert [line["key"] for line in lines] == ["0", "1", "2"]


def test_late_output_marker_counts_gets(sandbox: Sandbox) -> None:
    name = sandbox.create(inline("a", name="[late-output 2]"))["name"]
    seen: list[Json] = []

    def has_output() -> bool:
        seen.append(sandbox.ask("GET", f"/v1/{name}"))
        return "response" in seen[-1]

    wait_for(has_output)
    bare = [shown for shown in seen if shown["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"][:-1]
    assert ["output" in shown["metadata"] for shown in bare] == [False, False]


def test_shuffled_rows_are_complete(sandbox: Sandbox) -> None:
    lines = sandbox.run_lines(
        *[entry(str(number), "x") for number in range(20)], display_name="[shuffle]"
    )
    keys = [int(line["key"]) for line in lines]
    assert keys != sorted(keys)
    assert sorted(keys) == list(range(20))


def test_errors_may_hold_objects(sandbox: Sandbox) -> None:
    ended = sandbox.run(inline("a", "b", name="[all-errors] [error-details]"))
    assert ended["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"
    assert ended["metadata"]["batchStats"]["failedRequestCount"] == "2"
    assert all(isinstance(row["error"]["details"][0], dict) for row in rows_of(ended))


def test_rows_may_lack_metadata(sandbox: Sandbox) -> None:
    assert [list(row) for row in rows_of(sandbox.run(inline("a", name="[no-metadata]")))] == [
        ["response"]
    ]


def test_file_job_may_answer_inline(sandbox: Sandbox) -> None:
    name = sandbox.upload(b'{"key":"a","request":{"contents":[{"parts":[{"text":"x"}]}]}}')
    ended = sandbox.run({"inputConfig": {"fileName": name}, "displayName": "[inline-answer]"})
    assert [row["key"] for row in rows_of(ended)] == ["a"]


def test_input_deleted_meanwhile_fails_job(sandbox: Sandbox) -> None:
    name = sandbox.upload(b'{"key":"a","request":{}}')
    created = sandbox.create({"inputConfig": {"fileName": name}})
    sandbox.ask("DELETE", f"/v1/{name}")
    ended = sandbox.ended(created["name"])
    assert ended["metadata"]["state"] == "BATCH_STATE_FAILED"
    assert "was deleted" in ended["error"]["message"]


def test_blank_lines_are_no_requests(sandbox: Sandbox) -> None:
    name = sandbox.upload(b'\n{"key":"a","request":{"contents":[{"parts":[{"text":"x"}]}]}}\r\n\n')
    ended = sandbox.run({"inputConfig": {"fileName": name}})
    assert ended["metadata"]["batchStats"] == {"requestCount": "1", "successfulRequestCount": "1"}
