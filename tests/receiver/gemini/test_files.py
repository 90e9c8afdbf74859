import io
import json
from collections.abc import Iterator

import pytest

from receiver.errors import GeminiError
from receiver.gemini.batches import Gemini
from receiver.gemini.files import CHUNK_BYTES, Files
from tests.answering import Answer, answering
from tests.fault_proxy import Fault, FaultProxy, fault_proxy

SIZE = 2 * CHUNK_BYTES + 1000
DATA = (b'{"key": "k"}\n' * (SIZE // 13 + 1))[:SIZE]


@pytest.fixture
def files(sandbox_url: str) -> Iterator[Files]:
    with Gemini(sandbox_url, "right-key") as gemini:
        yield Files(gemini.transport)


@pytest.fixture
def proxy(sandbox_url: str) -> Iterator[FaultProxy]:
    with fault_proxy(int(sandbox_url.rpartition(":")[2])) as proxy:
        yield proxy


def test_uploaded_file_is_there_until_deleted(files: Files) -> None:
    told: list[int] = []
    file = files.upload(io.BytesIO(DATA), len(DATA), "requests", told.append)
    assert (file.size_bytes, file.display_name, file.source) == (SIZE, "requests", "UPLOADED")
    assert told == [CHUNK_BYTES, 2 * CHUNK_BYTES, SIZE]
    assert files.get(file.name) == file
    files.delete(file.name)
    with pytest.raises(GeminiError) as deleted:
        files.get(file.name)
    assert deleted.value.status in (403, 404)


def test_empty_file_is_uploaded(files: Files) -> None:
    assert files.upload(io.BytesIO(), 0, "nothing").size_bytes == 0


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_broken_upload_goes_on_where_it_stood(proxy: FaultProxy, broken: int) -> None:
    """The chunk arrived, its answer did not; the last chunk's answer is the file itself."""
    proxy.reset(*[Fault()] * broken, Fault("reset"))
    with Gemini(proxy.url, "right-key") as gemini:
        file = Files(gemini.transport).upload(io.BytesIO(DATA), SIZE, "requests")
    assert file.size_bytes == SIZE


def test_upload_that_never_moves_ends(proxy: FaultProxy) -> None:
    proxy.reset(Fault(), *[Fault("reset")] * 20)
    with (
        Gemini(proxy.url, "right-key") as gemini,
        pytest.raises(GeminiError, match="the upload of requests"),
    ):
        Files(gemini.transport, 0.01).upload(io.BytesIO(DATA), SIZE, "requests")


def test_wrong_key_uploads_nothing(sandbox_url: str) -> None:
    with (
        Gemini(sandbox_url, "") as gemini,
        pytest.raises(GeminiError, match="check that GEMINI_API_KEY is right"),
    ):
        Files(gemini.transport).upload(io.BytesIO(DATA), SIZE, "requests")


def test_upload_address_without_tls_is_refused() -> None:
    """Whoever answers for Gemini can't send the requests somewhere in the clear."""
    headers = {"x-goog-upload-url": "http://files.example/upload", "x-goog-upload-status": "active"}
    with (
        answering(lambda _path, _headers: Answer(200, b"", headers)) as url,
        Gemini(url, "right-key") as gemini,
        pytest.raises(GeminiError, match="no address over https"),
    ):
        Files(gemini.transport).upload(io.BytesIO(DATA), SIZE, "requests")


@pytest.mark.parametrize("status", ["final", "active", "cancelled", ""])
def test_upload_refused_under_200_shows_why(status: str) -> None:
    error = {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "message": "Error on line 1: no such field (right-key)",
    }
    words = json.dumps({"error": error}).encode()

    def answer(path: str, _: object) -> Answer:
        begins = {"x-goog-upload-url": f"{url}/bytes", "x-goog-upload-status": "active"}
        return (
            Answer(200, b"", begins)
            if "bytes" not in path
            else Answer(200, words, {"x-goog-upload-status": status})
        )

    with (
        answering(answer) as url,
        Gemini(url, "right-key") as gemini,
        pytest.raises(GeminiError, match="Error on line 1: no such field") as caught,
    ):
        Files(gemini.transport, 0.01).upload(io.BytesIO(DATA), 10, "requests")
    assert "right-key" not in str(caught.value)


def test_upload_that_can_not_begin_shows_why() -> None:
    words = b'{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "20 GB are full"}}'
    with (
        answering(lambda _path, _headers: Answer(200, words)) as url,
        Gemini(url, "right-key") as gemini,
        pytest.raises(GeminiError, match=r"named no address .*RESOURCE_EXHAUSTED: 20 GB are full"),
    ):
        Files(gemini.transport).upload(io.BytesIO(DATA), 10, "requests")


def test_unexpected_status_of_an_upload_is_named() -> None:
    def answer(path: str, _: object) -> Answer:
        begins = {"x-goog-upload-url": f"{url}/bytes", "x-goog-upload-status": "active"}
        return Answer(
            200, b"<html>", begins if "bytes" not in path else {"x-goog-upload-status": "cancelled"}
        )

    with (
        answering(answer) as url,
        Gemini(url, "right-key") as gemini,
        pytest.raises(GeminiError, match=r"without a file \(its status is 'cancelled'\)"),
    ):
        Files(gemini.transport).upload(io.BytesIO(DATA), 10, "requests")


@pytest.mark.parametrize("name", ["files/../batches/x", "batches/x", "files/batch-" + "a" * 36])
def test_other_names_are_no_files(files: Files, name: str) -> None:
    with pytest.raises(GeminiError, match="is no name of an uploaded file"):
        files.delete(name)


def test_batch_is_created_cancelled_and_deleted(sandbox_url: str, files: Files) -> None:
    requests = b'{"key": "k", "request": {"contents": [{"parts": [{"text": "Hello"}]}]}}\n'
    file = files.upload(io.BytesIO(requests), len(requests), "requests")
    with Gemini(sandbox_url, "right-key") as gemini:
        batch = gemini.create_batch(
            "gemini-3.5-flash", {"displayName": "made", "inputConfig": {"fileName": file.name}}
        )
        assert (batch.display_name, batch.input_file) == ("made", file.name)
        assert gemini.get_batch(batch.name).input_file == file.name
        gemini.cancel_batch(batch.name)
        gemini.delete_batch(batch.name)
        assert batch.name not in {one.name for one in gemini.list_batches()}
