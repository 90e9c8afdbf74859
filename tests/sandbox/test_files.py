import pytest

from tests.sandbox.conftest import Sandbox


def test_foreign_file_is_forbidden(sandbox: Sandbox) -> None:
    refused = sandbox.http.get("/v1/files/abcdefghijkl")
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(("method", "message"), [("GET", "GetFileRequest"), ("DELETE", "DeleteFileRequest")])
def test_long_id_is_refused_in_words(sandbox: Sandbox, method: str, message: str) -> None:
    refused = sandbox.http.request(method, f"/v1/files/batch-{'a' * 36}")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(f"* {message}.name: File ID (name excluding 'files/')")


def test_deleted_file_leaves_list(sandbox: Sandbox) -> None:
    name = sandbox.upload(b"x")
    assert sandbox.ask("GET", "/v1/files?pageSize=1")["files"][0]["name"] == name
    assert sandbox.ask("DELETE", f"/v1/{name}") == {}
    assert name not in [found["name"] for found in sandbox.ask("GET", "/v1/files").get("files", [])]
