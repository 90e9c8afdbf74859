import hashlib
from base64 import b64decode

import httpx
import pytest

from tests.sandbox.conftest import Sandbox

START = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}


def opened(sandbox: Sandbox, **meta: object) -> str:
    answer = sandbox.http.post("/upload/v1/files", json={"file": meta}, headers=START)
    assert answer.headers["x-goog-upload-status"] == "active"
    return answer.headers["x-goog-upload-url"]


def send(url: str, offset: int, content: bytes, command: str = "upload") -> httpx.Response:
    return httpx.post(
        url,
        content=content,
        headers={"x-goog-upload-command": command, "x-goog-upload-offset": str(offset)},
    )


def test_url_follows_request_host(sandbox: Sandbox) -> None:
    headers = {**START, "host": "files.example:81"}
    url = sandbox.http.post("/upload/v1beta/files", json={}, headers=headers).headers[
        "x-goog-upload-url"
    ]
    assert url.startswith("http://files.example:81/upload/v1beta/files?upload_id=")


def test_chunks_join_without_key(sandbox: Sandbox) -> None:
    url = opened(sandbox, displayName="d", mimeType="jsonl", sizeBytes="6")
    first = send(url, 0, b"abc")
    assert first.headers["x-goog-upload-status"] == "active"
    last = send(url, 3, b"def", "upload, finalize")
    assert last.headers["x-goog-upload-status"] == "final"
    stored = last.json()["file"]
    assert (stored["displayName"], stored["mimeType"], stored["sizeBytes"]) == ("d", "jsonl", "6")
    assert len(stored["name"]) == len("files/") + 12
    assert b64decode(stored["sha256Hash"]).decode() == hashlib.sha256(b"abcdef").hexdigest()
    assert stored["uri"] == f"{sandbox.url}/v1/{stored['name']}"


def test_repeated_chunk_counts_once(sandbox: Sandbox) -> None:
    url = opened(sandbox)
    send(url, 0, b"abc")
    send(url, 0, b"abc")
    asked = send(url, 0, b"", "query")
    assert asked.headers["x-goog-upload-size-received"] == "3"
    assert send(url, 3, b"", "finalize").json()["file"]["sizeBytes"] == "3"


def test_shorter_repeat_replaces_all(sandbox: Sandbox) -> None:
    url = opened(sandbox)
    send(url, 0, b"abcdef")
    stored = send(url, 0, b"abc", "upload, finalize").json()["file"]
    assert stored["sizeBytes"] == "3"
    assert b64decode(stored["sha256Hash"]).decode() == hashlib.sha256(b"abc").hexdigest()


def test_repeated_finalize_answers_again(sandbox: Sandbox) -> None:
    url = opened(sandbox)
    first = send(url, 0, b"abc", "upload, finalize")
    assert send(url, 0, b"abc", "upload, finalize").json() == first.json()


def test_gap_is_refused(sandbox: Sandbox) -> None:
    refused = send(opened(sandbox), 5, b"abc")
    assert refused.status_code == 400
    assert refused.headers["x-goog-upload-status"] == "active"


def test_wrong_length_is_refused(sandbox: Sandbox) -> None:
    assert send(opened(sandbox, sizeBytes="4"), 0, b"abc", "upload, finalize").status_code == 400


def test_chosen_name_is_kept(sandbox: Sandbox) -> None:
    assert sandbox.upload(b"x", name="files/my-in") == "files/my-in"
    again = sandbox.http.post(
        "/upload/v1/files", json={"file": {"name": "files/my-in"}}, headers=START
    )
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize(
    "name", ["files/Big", "files/a_b", "files/-a", "files/" + "a" * 41, "files/../x"]
)
def test_bad_name_is_refused(sandbox: Sandbox, name: str) -> None:
    assert (
        sandbox.http.post(
            "/upload/v1/files", json={"file": {"name": name}}, headers=START
        ).status_code
        == 400
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-goog-upload-protocol": "raw"},
        {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "upload"},
    ],
    ids=str,
)
def test_other_protocols_are_refused(sandbox: Sandbox, headers: dict[str, str]) -> None:
    assert sandbox.http.post("/upload/v1/files", json={}, headers=headers).status_code == 400


def test_over_two_gigabytes_is_refused(sandbox: Sandbox) -> None:
    headers = {**START, "x-goog-upload-header-content-length": str(2 * 1024**3 + 1)}
    assert "over the limit" in sandbox.http.post("/upload/v1/files", json={}, headers=headers).text


def test_unknown_upload_is_refused(sandbox: Sandbox) -> None:
    assert send(f"{sandbox.url}/upload/v1/files?upload_id=none", 0, b"x").status_code == 404


def test_start_needs_a_key(sandbox: Sandbox) -> None:
    assert httpx.post(f"{sandbox.url}/upload/v1/files", json={}, headers=START).status_code == 403
