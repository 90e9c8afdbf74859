import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from google import genai
from google.genai import types

from tests.sandbox.conftest import Sandbox


def test_foreign_file_is_forbidden(sandbox: Sandbox) -> None:
    refused = sandbox.http.get("/v1/files/abcdefghijkl")
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


def test_expired_file_is_gone(start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("--file-ttl", "0")
    name = sandbox.upload(b"{}")
    assert sandbox.http.get(f"/v1/{name}").status_code == 403
    assert sandbox.ask("GET", "/v1/files") == {}
    refused = sandbox.http.post(
        "/v1/models/m:batchGenerateContent", json={"batch": {"inputConfig": {"fileName": name}}}
    )
    assert refused.status_code == 404


@pytest.mark.parametrize(
    ("method", "message"), [("GET", "GetFileRequest"), ("DELETE", "DeleteFileRequest")]
)
def test_long_id_is_refused_in_words(sandbox: Sandbox, method: str, message: str) -> None:
    refused = sandbox.http.request(method, f"/v1/files/batch-{'a' * 36}")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(
        f"* {message}.name: File ID (name excluding 'files/')"
    )


def test_deleted_file_leaves_list(sandbox: Sandbox) -> None:
    name = sandbox.upload(b"x")
    assert sandbox.ask("GET", "/v1/files?pageSize=1")["files"][0]["name"] == name
    assert sandbox.ask("DELETE", f"/v1/{name}") == {}
    assert name not in [found["name"] for found in sandbox.ask("GET", "/v1/files").get("files", [])]


def test_large_upload_goes_in_chunks(client: genai.Client, tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    line = (
        json.dumps(
            {"key": "k", "request": {"contents": [{"parts": [{"text": "x" * 1000}]}]}}
        ).encode()
        + b"\n"
    )
    path.write_bytes(line * (20 * 1024 * 1024 // len(line)))
    found = client.files.upload(
        file=str(path), config=types.UploadFileConfig(mime_type="jsonl", name="files/large-1")
    )
    assert (found.name, found.size_bytes) == ("files/large-1", path.stat().st_size)


def test_empty_file_uploads_too(client: genai.Client) -> None:
    found = client.files.upload(
        file=io.BytesIO(b""), config=types.UploadFileConfig(mime_type="jsonl")
    )
    assert found.state is types.FileState.ACTIVE


def test_file_list_walks_pages(client: genai.Client) -> None:
    config = types.UploadFileConfig(mime_type="jsonl")
    made = [client.files.upload(file=io.BytesIO(b"{}"), config=config).name for _ in range(3)]
    pager = client.files.list(config={"page_size": 1})
    assert [found.name for found, _ in zip(pager, range(3), strict=False)] == made[::-1]
