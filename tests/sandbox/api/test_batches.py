from typing import Any

import pytest

from tests.sandbox.conftest import Json, Sandbox, wait_for

CONTENTS = [{"parts": [{"text": "hello"}]}]
CREATE = "/v1/models/m:batchGenerateContent"


def inline(*texts: str, name: str | None = None) -> Json:
    rows = [
        {"request": {"contents": [{"parts": [{"text": text}]}]}, "metadata": {"key": str(index)}}
        for index, text in enumerate(texts)
    ]
    return {"displayName": name, "inputConfig": {"requests": {"requests": rows}}}


def rows_of(operation: Json) -> list[Json]:
    found: list[Json] = operation["response"]["inlinedResponses"]["inlinedResponses"]
    return found


def test_new_job_is_pending(sandbox: Sandbox) -> None:
    created = sandbox.create(inline("a", "b", name="n"))
    batch_id = created["name"].removeprefix("batches/")
    assert len(batch_id) == 36
    assert batch_id.isalnum()
    assert list(created) == ["name", "metadata"]
    metadata = created["metadata"]
    assert metadata["state"] == "BATCH_STATE_PENDING"
    assert metadata["batchStats"] == {"requestCount": "2", "pendingRequestCount": "2"}
    assert (
        metadata["@type"]
        == "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch"
    )
    assert len(metadata["createTime"]) == len("2026-08-19T14:34:12.267870162Z")


def test_running_counts_stay_pending(sandbox: Sandbox) -> None:
    name = sandbox.create(inline("a", name="[stuck]"))["name"]
    shown = wait_for(
        lambda: (
            (found := sandbox.ask("GET", f"/v1/{name}"))["metadata"]["state"]
            == "BATCH_STATE_RUNNING"
            and found
        )
    )
    assert "done" not in shown
    assert shown["metadata"]["batchStats"]["pendingRequestCount"] == "1"


def test_output_appears_twice(sandbox: Sandbox) -> None:
    ended = sandbox.run(inline("a", "[sandbox:error]"))
    assert ended["done"] is True
    output = {name: value for name, value in ended["response"].items() if name != "@type"}
    assert ended["metadata"]["output"] == output
    assert ended["metadata"]["batchStats"] == {
        "requestCount": "2",
        "successfulRequestCount": "1",
        "failedRequestCount": "1",
    }
    assert "inputConfig" not in ended["metadata"]


@pytest.mark.parametrize(("place", "absent"), [("metadata", "response"), ("response", "metadata")])
def test_output_in_one_place(sandbox: Sandbox, place: str, absent: str) -> None:
    sandbox.fault(output_in=place)
    ended = sandbox.run(inline("a"))
    found = {"metadata": "output" in ended["metadata"], "response": "response" in ended}
    assert found == {place: True, absent: False}


def test_list_hides_inlined_results(sandbox: Sandbox) -> None:
    ended = sandbox.run(inline("a"))
    listed = sandbox.ask("GET", "/v1/batches?pageSize=1")["operations"][0]
    assert listed["name"] == ended["name"]
    assert listed["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"
    assert "response" not in listed
    assert "output" not in listed["metadata"]


def test_list_shows_file_names(sandbox: Sandbox) -> None:
    name = sandbox.upload(b'{"key":"a","request":{"contents":[{"parts":[{"text":"a"}]}]}}')
    ended = sandbox.run({"input_config": {"file_name": name}})
    listed = sandbox.ask("GET", "/v1/batches?pageSize=1")["operations"][0]
    assert listed == ended


def test_pages_survive_deletion(sandbox: Sandbox) -> None:
    names = [sandbox.create(inline("a"))["name"] for _ in range(3)][::-1]
    first = sandbox.ask("GET", "/v1/batches?pageSize=1")
    sandbox.ask("DELETE", f"/v1/{names[0]}")
    second = sandbox.ask("GET", f"/v1/batches?pageSize=1&pageToken={first['nextPageToken']}")
    assert second["operations"][0]["name"] == names[1]
    assert sandbox.http.get("/v1/batches?pageToken=%21").status_code == 400


def test_update_changes_display_name(sandbox: Sandbox) -> None:
    name = sandbox.create(inline("a", name="old"))["name"]
    path = f"/v1/{name}:updateGenerateContentBatch?updateMask=displayName"
    assert sandbox.ask("PATCH", path, {"displayName": "new"})["displayName"] == "new"
    assert sandbox.ask("GET", f"/v1/{name}")["metadata"]["displayName"] == "new"
    assert (
        sandbox.http.patch(f"/v1/{name}:updateEmbedContentBatch", json={"model": "x"}).status_code
        == 400
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"batch": 1},
        {"batch": {}},
        {"batch": {"inputConfig": {}}},
        {"batch": {"inputConfig": {"fileName": "files/a", "requests": {"requests": []}}}},
        {"batch": {"inputConfig": {"fileName": "a"}}},
        {"batch": {"inputConfig": {"requests": {"requests": []}}}},
        {"batch": {"inputConfig": {"requests": {"requests": [{"request": {}}]}}}},
        {"batch": {"inputConfig": {"requests": {"requests": [1]}}}},
        {"batch": {**inline("a"), "displayName": 1}},
        {"batch": {**inline("a"), "display": "x"}},
        {"batch": {**inline("a"), "webhookConfig": {"uris": []}}},
        {"src": "files/a"},
        [],
    ],
    ids=str,
)
def test_malformed_create_is_refused(sandbox: Sandbox, body: Any) -> None:
    refused = sandbox.http.post(CREATE, json=body)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("body", [b"{", b"{'a': ", b"\xff\xfe", b"[" * 100_000])
def test_unreadable_create_is_refused(sandbox: Sandbox, body: bytes) -> None:
    assert sandbox.http.post(CREATE, content=body).status_code == 400


def test_oversized_inline_create_is_refused(sandbox: Sandbox) -> None:
    body = {"batch": inline("x" * (20 * 1024 * 1024))}
    assert "exceeds the limit" in sandbox.http.post(CREATE, json=body).json()["error"]["message"]


def test_file_without_lines_is_refused(sandbox: Sandbox) -> None:
    refused = sandbox.http.post(
        CREATE, json={"batch": {"inputConfig": {"fileName": sandbox.upload(b"")}}}
    )
    assert refused.status_code == 400


def test_get_faults_pass(sandbox: Sandbox) -> None:
    name = sandbox.run(inline("a"))["name"]
    sandbox.fault(get_status={"status": 503, "times": 2, "retry_after": 1})
    answers = [sandbox.http.get(f"/v1/{name}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "1"


def test_late_output_comes_late(sandbox: Sandbox) -> None:
    name = sandbox.run(inline("a"))["name"]
    sandbox.fault(late_output=2)
    answers = [sandbox.ask("GET", f"/v1/{name}") for _ in range(3)]
    assert [answer["metadata"]["state"] for answer in answers] == ["BATCH_STATE_SUCCEEDED"] * 3
    assert ["response" in answer for answer in answers] == [False, False, True]


def test_tuned_model_is_accepted(sandbox: Sandbox) -> None:
    created = sandbox.ask("POST", "/v1/tunedModels/x:batchGenerateContent", {"batch": inline("a")})
    assert created["metadata"]["model"] == "tunedModels/x"
