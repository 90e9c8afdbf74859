"""A secret in a header, a body or an error never gets into a report; and the second look finds it if it does."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from receiver.probe import recorder
from receiver.probe.recorder import Call, Recorder
from receiver.probe.redaction import find_leaks
from receiver.probe.report import BatchSeen, DeliverySeen, Exchange, Part, Report, encode_report

KEY = "AIzaSyCanaryKeyOfNobody-0123456789abcde"
SECRET = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
HOST = "hooks.nobody.example"
KNOWN = [KEY, SECRET.removeprefix("whsec_"), HOST, "my-display-name"]


class _Tattler(BaseHTTPRequestHandler):
    """Answers with the key wherever there is a place for it."""

    def do_GET(self) -> None:
        key = self.headers["x-goog-api-key"]
        body = msgspec.json.encode(
            {
                "error": {"status": key, "message": f"Consumer 'api_key:{key}' at 203.0.113.9"},
                key: [key, {"state": key, "uri": f"https://{HOST}/{key}", "type": HOST}],
            }
        )
        self.send_response(403)
        self.send_header("Server", key)
        self.send_header(f"X-{key}", "1")
        self.send_header("WWW-Authenticate", f"Bearer {key}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def tattler_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Tattler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def recorded(url: str) -> str:
    with Recorder(url, KEY, "v1beta") as calls:
        calls.send(Call("look", "GET", "/v1beta/batches", "/v1beta/batches"))
        return encode_report(Report(calls=calls.exchanges)).decode()


def test_server_that_repeats_the_key_gets_none_into_the_report(tattler_url: str) -> None:
    assert find_leaks(recorded(tattler_url), KNOWN) == []


@pytest.mark.parametrize("planted", ["shape_of", "header_shapes"])
def test_planted_fault_of_the_shapes_is_found(
    tattler_url: str, planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With shapes that let everything through, the second look stops the report."""
    as_it_is = {"shape_of": lambda value: value, "header_shapes": dict}
    monkeypatch.setattr(recorder, planted, as_it_is[planted])
    found = find_leaks(recorded(tattler_url), KNOWN)
    assert {"something that is known to be secret", "an API key"} <= set(found)


PLANTED = {
    "key in a header": Report(calls=[Exchange(call="x", request="GET /", headers={"server": KEY})]),
    "key in a body": Report(calls=[Exchange(call="x", request="GET /", body={"a": [KEY]})]),
    "key in an error": Report(calls=[Exchange(call="x", request="GET /", error=f"at {KEY}")]),
    "key in a path": Report(calls=[Exchange(call="x", request=f"GET /v1?key={KEY[:9]}")]),
    "secret in a body": Report(calls=[Exchange(call="x", request="GET /", body=SECRET)]),
    "secret without its prefix": Report(parts=[Part("x", "failed", SECRET[6:])]),
    "signature": Report(
        deliveries=[
            DeliverySeen(
                batch="", event="ping", verdict="", scheme="v1", headers={"s": "v1,c2VjcmV0"}
            )
        ]
    ),
    "token": Report(calls=[Exchange(call="x", request="GET /", body="eyJhbGciOiJSUzI1NiJ9.e30.x")]),
    "project": Report(parts=[Part("x", "failed", "projects/123456 is suspended")]),
    "batch": Report(batches=[BatchSeen(batch="batches/abc123")]),
    "result file": Report(calls=[Exchange(call="x", request="GET /v1beta/files/batch-abc")]),
    "upload URL": Report(calls=[Exchange(call="x", request="POST /upload?upload_id=abc")]),
    "IP address": Report(
        calls=[Exchange(call="x", request="GET /", headers={"via": "203.0.113.9"})]
    ),
    "IPv6 address": Report(parts=[Part("x", "failed", "2001:db8::8a2e:370:7334")]),
    "short IPv6 address": Report(parts=[Part("x", "failed", "at ::1")]),
    "host": Report(parts=[Part("x", "failed", f"at {HOST.upper()}")]),
    "URL": Report(parts=[Part("x", "failed", "https://anybody.example/")]),
    "mail address": Report(parts=[Part("x", "failed", "ann@nobody.example")]),
    "display name": Report(calls=[Exchange(call="my-display-name", request="GET /")]),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_planted_secret_is_found_and_not_repeated(fault: str) -> None:
    found = find_leaks(encode_report(PLANTED[fault]).decode(), KNOWN)
    assert found
    assert [one for one in KNOWN if one in " ".join(found)] == []


def test_ordinary_report_is_clean() -> None:
    exchange = Exchange(
        call="create batch: file",
        request="POST /v1beta/models/<id>:batchGenerateContent",
        headers={"cache-control": "public, max-age=3600"},
        body={"name": "batches/<id>", "state": "BATCH_STATE_PENDING"},
    )
    assert (
        find_leaks(encode_report(Report(version="0.1.0", calls=[exchange])).decode(), KNOWN) == []
    )
