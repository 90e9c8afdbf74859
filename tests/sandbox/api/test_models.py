from google import genai

from tests.sandbox.conftest import Sandbox


def test_models_are_shown_as_the_sdk_reads_them(client: genai.Client) -> None:
    model = client.models.get(model="gemini-3.8-flash")
    assert model.name == "models/gemini-3.8-flash"
    assert "batchGenerateContent" in (model.supported_actions or [])
    assert "models/gemini-embedding-2" in [one.name for one in client.models.list()]


def test_unknown_model_is_not_found(sandbox: Sandbox) -> None:
    answer = sandbox.http.get("/v1/models/gemini-3.8-flsh")
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_fault_stands_for_the_model(sandbox: Sandbox) -> None:
    sandbox.fault(model_status={"status": 503})
    assert sandbox.http.get("/v1/models/gemini-3.8-flash").status_code == 503
    assert sandbox.http.get("/v1/models/gemini-3.8-flash").status_code == 200


def test_whole_upload_can_be_refused_under_200(sandbox: Sandbox) -> None:
    sandbox.fault(refuse_uploads=1)
    begun = sandbox.http.post(
        "/upload/v1/files",
        json={},
        headers={"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"},
    )
    finished = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    refused = sandbox.http.post(begun.headers["x-goog-upload-url"], content=b"x", headers=finished)
    assert (refused.status_code, refused.json()["error"]["code"]) == (200, 400)
    assert refused.headers["x-goog-upload-status"] == "final"
