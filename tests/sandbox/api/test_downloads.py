import gzip
import time
from pathlib import Path

import httpx
import pytest

from tests.sandbox.conftest import KEY, Sandbox

CONTENT = b"".join(b'{"response":{},"key":"%d"}\n' % number for number in range(100_000))


@pytest.fixture
def result(sandbox: Sandbox, tmp_path: Path) -> str:
    """The path of a result file that needed no generation."""
    path = tmp_path / "result.jsonl"
    path.write_bytes(CONTENT)
    made = sandbox.ask(
        "POST", "/sandbox/batches", {"result_path": str(path), "request_count": 100_000}
    )
    return f"/v1/{made['response']['responsesFile']}:download?alt=media"


@pytest.mark.parametrize("prefix", ["", "/download"])
def test_both_paths_serve_bytes(sandbox: Sandbox, result: str, prefix: str) -> None:
    answer = sandbox.http.get(prefix + result)
    assert answer.content == CONTENT
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["accept-ranges"] == "bytes"


def test_range_gives_the_rest(sandbox: Sandbox, result: str) -> None:
    whole = sandbox.http.get(result)
    part = sandbox.http.get(
        result, headers={"range": "bytes=1000-", "if-range": whole.headers["etag"]}
    )
    assert (part.status_code, part.content) == (206, CONTENT[1000:])
    assert part.headers["content-range"] == f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert sandbox.http.get(result, headers={"range": "bytes=5-9"}).content == CONTENT[5:10]
    assert sandbox.http.get(result, headers={"range": f"bytes={len(CONTENT)}-"}).status_code == 416
    assert (
        sandbox.http.get(result, headers={"range": "bytes=5-", "if-range": '"old"'}).status_code
        == 200
    )


def test_uploaded_file_is_not_served(sandbox: Sandbox) -> None:
    name = sandbox.upload(b"x")
    assert sandbox.http.get(f"/v1/{name}:download?alt=media").status_code == 400


def test_unknown_file_is_forbidden(sandbox: Sandbox) -> None:
    assert sandbox.http.get("/v1/files/batch-none:download?alt=media").status_code == 403


@pytest.mark.parametrize("status", [403, 404, 429, 503])
def test_status_fault_passes(sandbox: Sandbox, result: str, status: int) -> None:
    sandbox.fault(download_status={"status": status, "retry_after": 2})
    refused = sandbox.http.get(result)
    assert (refused.status_code, refused.headers["retry-after"]) == (status, "2")
    assert refused.json()["error"]["code"] == status
    assert sandbox.http.get(result).status_code == 200


def test_cut_download_stops_short(sandbox: Sandbox, result: str) -> None:
    sandbox.fault(cut_download_after={"bytes": 1_234_567})
    got = bytearray()

    def read_all() -> None:
        with sandbox.http.stream("GET", result) as answer:
            for piece in answer.iter_raw():
                got.extend(piece)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        read_all()
    assert got == CONTENT[:1_234_567]
    rest = sandbox.http.get(result, headers={"range": f"bytes={len(got)}-"})
    assert got + rest.content == CONTENT


def test_cut_without_length_stops_too(sandbox: Sandbox, result: str) -> None:
    sandbox.fault(cut_download_after={"bytes": 10}, chunked_downloads=1)
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.get(result)


def test_chunked_download_has_no_length(sandbox: Sandbox, result: str) -> None:
    sandbox.fault(chunked_downloads=1)
    answer = sandbox.http.get(result)
    assert "content-length" not in answer.headers
    assert answer.content == CONTENT


def test_gzip_only_for_those_who_accept(sandbox: Sandbox, result: str) -> None:
    sandbox.fault(gzip_downloads=1)
    assert (
        "content-encoding"
        not in sandbox.http.get(result, headers={"accept-encoding": "identity"}).headers
    )
    with sandbox.http.stream("GET", result, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(answer.iter_raw())) == CONTENT


def test_redirect_names_other_origin(sandbox: Sandbox, result: str) -> None:
    sandbox.fault(redirect_downloads={"to": "http://127.0.0.1:9/"})
    answer = sandbox.http.get(result)
    assert (answer.status_code, answer.headers["location"]) == (302, f"http://127.0.0.1:9{result}")


def test_range_faults_lie(sandbox: Sandbox, result: str) -> None:
    sandbox.fault(ignore_range=1, wrong_range=1)
    ignored, wrong = (sandbox.http.get(result, headers={"range": "bytes=10-19"}) for _ in range(2))
    assert (ignored.status_code, ignored.content) == (200, CONTENT)
    assert wrong.headers["content-range"] == f"bytes 11-19/{len(CONTENT)}"


def test_drip_is_slow(sandbox: Sandbox, result: str) -> None:
    sandbox.fault(drip_downloads={"bytes_per_s": 10})
    began = time.monotonic()
    with sandbox.http.stream("GET", result) as answer:
        pieces = answer.iter_raw()
        assert next(pieces) + next(pieces) == CONTENT[:20]
    assert time.monotonic() - began > 0.9


def test_closed_drip_frees_the_server(sandbox: Sandbox, result: str) -> None:
    sandbox.fault(drip_downloads={"bytes_per_s": 10, "times": "all"})
    for _ in range(3):
        with sandbox.http.stream("GET", result) as answer:
            next(answer.iter_raw())
    sandbox.fault(drip_downloads=None)
    assert httpx.get(sandbox.url + result, headers={"x-goog-api-key": KEY}).content == CONTENT
