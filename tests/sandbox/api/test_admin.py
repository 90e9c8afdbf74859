import json
from pathlib import Path

import pytest

from tests.sandbox.api.test_batches import inline
from tests.sandbox.callbacks import Callbacks
from tests.sandbox.conftest import Json, Sandbox


def add(sandbox: Sandbox, **members: object) -> Json:
    return sandbox.ask("POST", "/sandbox/batches", members)


def test_existing_file_becomes_result(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl"
    path.write_bytes(b'{"response":{},"key":"a"}\n' * 3)
    made = add(
        sandbox, result_path=str(path), request_count=3, failed_count=1, display_name="bench"
    )
    shown = sandbox.ask("GET", f"/v1/{made['name']}")
    assert shown == made
    assert shown["metadata"]["batchStats"] == {
        "requestCount": "3",
        "successfulRequestCount": "2",
        "failedRequestCount": "1",
    }
    assert [line["key"] for line in sandbox.result_lines(shown)] == ["a", "a", "a"]


def test_raw_output_is_shown_unchanged(sandbox: Sandbox) -> None:
    output = {
        "inlinedResponses": {"inlinedResponses": [{"error": {"code": 3}, "metadata": {"n": 1}}]}
    }
    made = add(sandbox, output=output, request_count=1)
    shown = sandbox.ask("GET", f"/v1/{made['name']}")
    assert shown["metadata"]["output"] == output


def test_any_end_state_can_be_made(sandbox: Sandbox) -> None:
    made = add(sandbox, state="FAILED", error={"code": 8, "message": "quota"}, id="chosen")
    assert (made["name"], made["error"]["code"]) == ("batches/chosen", 8)


def test_ready_batch_is_announced(sandbox: Sandbox, callbacks: Callbacks) -> None:
    add(sandbox, webhook_config={"uris": [callbacks.url]}, notify=False)
    made = add(sandbox, webhook_config={"uris": [callbacks.url]})
    assert json.loads(callbacks.wait()[0].body)["data"]["id"] == made["name"]


def test_notify_sends_new_delivery(sandbox: Sandbox, callbacks: Callbacks) -> None:
    made = add(sandbox, webhook_config={"uris": [callbacks.url]})
    sandbox.ask("POST", f"/sandbox/{made['name']}:notify")
    first, second = callbacks.wait(2)
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    assert sandbox.http.post("/sandbox/batches/none:notify").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{"state": "RUNNING"}, {"state": "DONE"}, {"result_path": "/no/such/file"}, {"colour": "red"}],
    ids=str,
)
def test_impossible_batch_is_refused(sandbox: Sandbox, body: Json) -> None:
    assert sandbox.http.post("/sandbox/batches", json=body).status_code == 400


def test_reset_empties_everything(sandbox: Sandbox, callbacks: Callbacks) -> None:
    sandbox.upload(b"x")
    sandbox.fault(drop_deliveries="all")
    sandbox.ask(
        "POST", "/v1/webhooks", {"uri": callbacks.url, "subscribed_events": ["batch.succeeded"]}
    )
    running = sandbox.create(inline("a", name="[stuck]"))["name"]
    sandbox.ask("DELETE", "/sandbox/state")
    assert sandbox.http.get(f"/v1/{running}").status_code == 404
    assert [sandbox.ask("GET", f"/v1/{kind}") for kind in ("files", "batches", "webhooks")] == [
        {},
        {},
        {},
    ]
    assert sandbox.ask("GET", "/sandbox/ledger") == {"batches": [], "deliveries": []}
    assert sandbox.ask("GET", "/sandbox/faults")["drop_deliveries"] == 0


def test_ledger_tells_true_state(sandbox: Sandbox) -> None:
    name = sandbox.run(inline("a", "[sandbox:error]", name="n"))["name"]
    sandbox.fault(late_output="all")
    found = next(
        batch for batch in sandbox.ask("GET", "/sandbox/ledger")["batches"] if batch["name"] == name
    )
    assert (found["state"], found["successful"], found["failed"]) == ("SUCCEEDED", 1, 1)
