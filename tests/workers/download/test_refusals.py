"""What becomes of a download that Gemini refuses."""

import time

import pytest

from receiver.errors import DownloadError
from receiver.gemini.batches import Gemini
from tests.fault_proxy import Fault
from tests.result_server import result_server
from tests.workers.downloading import CONTENT, KEY, NAME, QUICK, Route, as_sent, says
from workers.download.download import Download

GONE = [
    (403, "expired, or of another project"),
    (404, "expired or was deleted"),
    (410, "expired or was deleted"),
]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_status_is_tried_again(route: Route, status: int) -> None:
    route.server.faults.append(says(status))
    assert route.read() == CONTENT
    assert len(route.server.seen) == 2


@pytest.mark.parametrize("starts_well", [True, False])
@pytest.mark.parametrize(("status", "words"), GONE)
def test_gone_file_is_a_lasting_error(
    route: Route, *, status: int, words: str, starts_well: bool
) -> None:
    if starts_well:
        route.server.faults.append(as_sent)
        route.proxy.reset(Fault("reset", 100_000))
    body = b'{"error":{"code":%d,"message":"No such thing.","status":"NAMED"}}' % status
    route.server.faults.append(says(status, body=body))
    error = route.failure()
    assert isinstance(error, DownloadError)
    assert (error.status, error.retryable) == (status, False)
    assert all(part in str(error) for part in (NAME, words, "NAMED: No such thing."))


@pytest.mark.parametrize("after_bytes", [150, 100_000])
def test_broken_refusal_keeps_its_status(route: Route, after_bytes: int) -> None:
    route.server.faults.append(says(404, body=b"x" * 20_000_000))
    route.proxy.reset(Fault("reset", after_bytes))
    assert route.failure().status == 404


def test_long_refusal_is_not_read_to_its_end(route: Route) -> None:
    route.server.faults.append(says(404, body=b"x" * 1_000_000))
    route.proxy.reset(Fault("stall", 200_000))
    began = time.monotonic()
    assert route.failure().status == 404
    assert time.monotonic() - began < QUICK.stall_s


def test_unknown_encoding_is_refused(route: Route) -> None:
    route.server.encoding = "br"
    error = route.failure()
    assert not error.retryable
    assert "encoded as br" in str(error)


def test_other_origin_gets_no_request(route: Route) -> None:
    with result_server(CONTENT) as thief:
        route.server.faults.append(
            says(302, location=f"{thief.url}/v1beta/{NAME}:download?alt=media")
        )
        error = route.failure()
        assert not thief.seen
    assert not error.retryable
    assert "another origin" in str(error)
    assert KEY not in str(error)


def test_redirect_within_the_origin_is_followed(route: Route) -> None:
    route.server.faults.extend([as_sent, says(307, location="/elsewhere?alt=media")])
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT
    assert route.server.seen[2].path == "/elsewhere?alt=media"
    assert route.starts()[2] == route.starts()[1] > 0


def test_redirects_in_a_circle_end(route: Route) -> None:
    route.server.faults.extend([says(302, location="/again")] * 20)
    assert "redirected" in str(route.failure())


def test_proxies_of_the_environment_get_no_request(
    route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    with result_server(CONTENT) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        with Gemini(route.proxy.url, KEY) as gemini:
            assert b"".join(Download(gemini, NAME, patience=QUICK).chunks()) == CONTENT
        assert not proxy.seen
