"""The guide's REST calls as raw requests, with the answers in full."""

import json

import httpx
import pytest

from tests.sandbox.conftest import KEY, Sandbox

MODEL_URL = "/v1beta/models/gemini-3.5-flash:batchGenerateContent"
QUESTION = {"contents": [{"parts": [{"text": "How does moss drink?"}]}]}


def test_inline_sample_keeps_metadata(sandbox: Sandbox) -> None:
    requests = [{"request": QUESTION, "metadata": {"key": f"request-{row}"}} for row in (1, 2)]
    batch = {"display_name": "two questions", "input_config": {"requests": {"requests": requests}}}
    created = sandbox.ask("POST", MODEL_URL, {"batch": batch})
    assert created["metadata"]["displayName"] == "two questions"
    ended = sandbox.ended(created["name"])
    rows = ended["response"]["inlinedResponses"]["inlinedResponses"]
    assert [row["metadata"]["key"] for row in rows] == ["request-1", "request-2"]
    assert all(list(row) == ["response", "metadata"] for row in rows)


def test_upload_sample_runs_keyless_lines(sandbox: Sandbox) -> None:
    body = b"".join(json.dumps(QUESTION).encode() + b"\n" for _ in range(2))
    started = sandbox.http.post(
        "/upload/v1beta/files",
        headers={
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(body)),
            "X-Goog-Upload-Header-Content-Type": "text/plain",
            "Content-Type": "application/jsonl",
        },
        content=b"{'file': {'display_name': 'questions'}}",
    )
    headers = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
    url = started.headers["x-goog-upload-url"]
    info = httpx.post(url, headers=headers, content=body).json()["file"]
    assert (info["displayName"], info["mimeType"]) == ("questions", "text/plain")
    assert info["sizeBytes"] == str(len(body))
    config = f"{{'file_name': '{info['name']}'}}"
    batch = f"{{'batch': {{'display_name': 'questions', 'input_config': {config}}}}}"
    created = sandbox.http.post(MODEL_URL, content=batch.encode()).json()
    ended = sandbox.ended(created["name"])
    assert ended["metadata"]["inputConfig"] == {"fileName": info["name"]}
    url = f"/download/v1beta/{ended['response']['responsesFile']}:download?alt=media"
    lines = sandbox.http.get(url).content.splitlines()
    assert [list(json.loads(line)) for line in lines] == [["response"], ["response"]]


def test_list_get_cancel_delete_samples(sandbox: Sandbox) -> None:
    inline = {"requests": {"requests": [{"request": QUESTION}]}}
    name = sandbox.create({"displayName": "[stuck]", "inputConfig": inline})["name"]
    assert sandbox.ask("GET", "/v1beta/batches")["operations"][0]["name"] == name
    assert sandbox.ask("POST", f"/v1beta/{name}:cancel") == {}
    assert sandbox.ask("GET", f"/v1beta/{name}")["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert sandbox.ask("DELETE", f"/v1beta/{name}") == {}
    assert sandbox.http.get(f"/v1beta/{name}").status_code == 404


def test_webhook_sample_takes_chosen_id(sandbox: Sandbox) -> None:
    body = {
        "name": "ended",
        "uri": "https://example.com/gemini",
        "subscribed_events": ["batch.succeeded"],
    }
    created = sandbox.ask("POST", "/v1/webhooks?webhook_id=chosen-id-1", body)
    assert created["id"] == "chosen-id-1"
    assert sandbox.http.post("/v1/webhooks?webhook_id=chosen-id-1", json=body).status_code == 409


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1main"])
def test_every_version_is_served(sandbox: Sandbox, version: str) -> None:
    assert sandbox.http.get(f"/{version}/batches").status_code == 200


def test_answers_look_like_googles(sandbox: Sandbox) -> None:
    answer = sandbox.http.get("/v1/batches/none")
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["vary"] == "Origin, X-Origin, Referer"
    assert answer.text.startswith('{\n  "error": {\n    "code": 404,')


def test_call_without_key_is_refused(sandbox: Sandbox) -> None:
    refused = httpx.get(f"{sandbox.url}/v1/batches")
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert httpx.get(f"{sandbox.url}/v1/batches?key={KEY}").status_code == 200


def test_unknown_path_is_refused(sandbox: Sandbox) -> None:
    assert sandbox.http.get("/v1/nothing/here").json()["error"]["status"] == "NOT_FOUND"
    assert sandbox.http.post("/v1/batches", json={}).status_code == 405
