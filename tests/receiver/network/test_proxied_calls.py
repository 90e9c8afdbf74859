"""Every client of ours before a real proxy, and whom it may reach without one."""

import io
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import certifi
import pytest
from click.testing import CliRunner

from deploy.sandbox.processes import allocate_port
from receiver.cli import main
from receiver.errors import GeminiError, NoticeError, StorageError
from receiver.gemini.batches import Gemini
from receiver.gemini.files import Files
from receiver.gemini.reachability import find_obstacle
from receiver.http import trusted_certificates
from receiver.notices.http_client import post
from receiver.probe.recorder import Call, Recorder
from receiver.settings.notice_targets import make_target
from receiver.storage.object_store import ObjectStorage
from tests.object_server.running import ObjectServer
from tests.outgoing_proxy import PASSWORD, OutgoingProxy, outgoing_proxy
from tests.receiver import forging
from tests.running import CLIENT, answers, running_program, submit_file
from tests.tls_proxy import NAME, make_certificates, running_tls_proxy
from tests.waiting import eventually
from workers.download.download import Download

GEMINI = f"https://{NAME}"
TUNNEL = ("CONNECT", f"{NAME}:443")
BUCKET = "bucket.example.test"
LINE = b'{"key":"k","request":{"contents":[{"parts":[{"text":"Hello"}]}]}}\n'


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The server's certificate; its CA is the only one in certifi's list."""
    files = make_certificates(tmp_path)
    monkeypatch.setattr(certifi, "where", lambda: str(files.ca_file))
    trusted_certificates.cache_clear()
    yield files.server_file
    trusted_certificates.cache_clear()


@pytest.fixture
def gemini_port(sandbox_url: str, trusted: Path) -> Iterator[int]:
    """The sandbox behind TLS."""
    with running_tls_proxy(int(sandbox_url.rpartition(":")[2]), trusted) as port:
        yield port


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[OutgoingProxy]:
    """A proxy that refuses all, in the environment."""
    with outgoing_proxy() as proxy:
        proxy.enter(monkeypatch, HTTPS_PROXY=proxy.url)
        yield proxy


def test_gemini_is_reached_and_the_proxy_reads_nothing(
    gemini_port: int, sandbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with outgoing_proxy({NAME: gemini_port}, PASSWORD) as proxy, Gemini(sandbox_url, "right-key"):
        proxy.enter(monkeypatch, HTTPS_PROXY=proxy.url)
        with Gemini(GEMINI, "right-key") as gemini:
            batch = submit_file(sandbox_url, LINE)

            def result_file() -> str:
                return gemini.get_batch(batch).result_file or ""

            eventually(result_file, 20, "the end of the batch")
            assert b'"key":"k"' in b"".join(Download(gemini, result_file()).chunks()).replace(
                b" ", b""
            )
        assert set(proxy.seen) == {TUNNEL}
        assert len(proxy.seen) == 2  # one for all calls, and one for the download
        assert b"right-key" not in proxy.bytes_seen


def test_upload_goes_through_the_proxy(refusing: OutgoingProxy) -> None:
    with Gemini(GEMINI, "right-key") as gemini:
        with pytest.raises(GeminiError, match="the proxy that HTTPS_PROXY names"):
            Files(gemini.transport, 0.01).upload(io.BytesIO(LINE), len(LINE), "requests")
        refusing.seen.clear()
        with pytest.raises(GeminiError, match="the proxy that HTTPS_PROXY names"):
            gemini.transport.send_keyless(f"{GEMINI}/upload", "a chunk", LINE, {})
    assert refusing.seen == [TUNNEL]


def test_refusal_of_the_proxy_says_that_nothing_was_sent(refusing: OutgoingProxy) -> None:
    """So that a batch is created once, and is tried again."""
    with Gemini(GEMINI, "right-key") as gemini, pytest.raises(GeminiError) as told:
        gemini.transport.send("POST", "models/x:batchGenerateContent", "the batch", {})
    assert told.value.is_unsent
    assert told.value.retryable
    assert "502" in str(told.value)
    assert refusing.seen == [TUNNEL]


def test_wrong_password_is_said_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with outgoing_proxy(password=PASSWORD) as proxy:
        wrong = replace(proxy, password="canary-that-is-wrong")
        proxy.enter(monkeypatch, HTTPS_PROXY=wrong.url)
        with Gemini(GEMINI, "right-key") as gemini, pytest.raises(GeminiError) as told:
            gemini.get_batch("batches/abc")
        assert "407" in str(told.value)
        assert "canary" not in repr(told.value) + str(told.value.__cause__)


def test_own_address_and_probe_go_through_the_proxy(refusing: OutgoingProxy) -> None:
    assert "no answer" in (find_obstacle(f"{GEMINI}/webhooks/gemini", "/webhooks/gemini") or "")
    with Recorder(GEMINI, "right-key", "v1beta") as recorder, pytest.raises(GeminiError):
        recorder.send(Call("list", "GET", "batches", "batches"))
    assert refusing.seen == [TUNNEL] * 2


def test_key_set_is_fetched_through_the_proxy(
    refusing: OutgoingProxy, redis_url: str, tmp_path: Path
) -> None:
    port = allocate_port()
    settings = {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": "https://other.example.test",
        "GEMINI_JWKS_URL": f"{GEMINI}/keys",
        "REDIS_URL": redis_url,
        "STORAGE_URL": (tmp_path / "outputs").as_uri(),
        "PORT": str(port),
        "RECONCILE_INTERVAL_S": "0",
    }
    with running_program(tmp_path, settings, "serve"):
        eventually(lambda: answers(f"http://127.0.0.1:{port}/ready"), 20)
        signed = forging.headers("v1a," + "A" * 86 + "==", int(time.time()), "msg_1")
        CLIENT.post(f"http://127.0.0.1:{port}/webhooks/gemini", json={}, headers=signed)
        eventually(lambda: TUNNEL in refusing.seen, 10, "the call for the keys")


def test_notices_use_no_proxy(refusing: OutgoingProxy) -> None:
    """Their addresses are checked here, and a proxy would resolve the name for itself."""
    target = make_target("webhook", "https://hook.example.test/notices")
    with pytest.raises(NoticeError, match=r"hook\.example\.test could not be resolved"):
        post(target, b"{}", {}, ssl.create_default_context(), private=True)
    assert refusing.seen == []


OBJECT = ("b/1.json", b"{}")


@pytest.fixture
def far_bucket(
    object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OutgoingProxy]:
    """A bucket whose name resolves nowhere, and a proxy that knows it."""
    with outgoing_proxy({BUCKET: int(object_server.url.rpartition(":")[2])}) as proxy:
        proxy.enter(monkeypatch, HTTPS_PROXY=proxy.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{BUCKET}")
        yield proxy


def put_one() -> None:
    ObjectStorage.open("s3://bucket/prefix", 0.1).put_many([OBJECT])


def test_bucket_is_reached_through_the_proxy(
    far_bucket: OutgoingProxy, object_server: ObjectServer
) -> None:
    put_one()
    assert object_server.holds("prefix/b/1.json")
    assert far_bucket.seen == [("PUT", f"http://{BUCKET}/bucket/prefix/b/1.json")]


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_buckets_over_tls_are_reached_by_a_tunnel(
    refusing: OutgoingProxy, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "bm90aGluZw==")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    with pytest.raises(StorageError):
        ObjectStorage.open(f"{scheme}://bucket", 0.1).read("x")
    assert refusing.seen
    assert {method for method, _ in refusing.seen} == {"CONNECT"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("NO_PROXY", "*"), ("no_proxy", ".example.test"), ("NO_PROXY", "bucket.example.test:80")],
)
def test_bucket_of_no_proxy_is_called_directly(
    far_bucket: OutgoingProxy, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StorageError):  # it resolves nowhere
        put_one()
    assert far_bucket.seen == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "all_proxy"])
@pytest.mark.parametrize("exceptions", ["", "*"])
def test_this_machine_is_called_directly(
    object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, name: str, exceptions: str
) -> None:
    with outgoing_proxy() as proxy:
        proxy.enter(monkeypatch, **{name: proxy.url}, NO_PROXY=exceptions)
        put_one()
        assert object_server.holds("prefix/b/1.json")
        with Gemini("http://127.0.0.1:9", "key") as gemini, pytest.raises(GeminiError):
            gemini.get_batch("batches/abc")
        assert proxy.seen == []


def test_variable_for_calls_in_clear_is_not_read(
    far_bucket: OutgoingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    far_bucket.enter(monkeypatch, HTTP_PROXY=far_bucket.url, http_proxy=far_bucket.url)
    with pytest.raises(StorageError):
        put_one()
    assert far_bucket.seen == []


@pytest.mark.parametrize("command", ["worker", "serve", "doctor", "replay"])
def test_malformed_value_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMINI_API_KEY", "right-key")
    monkeypatch.setenv("https_proxy", "http://tester:canary@proxy:port")
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 1
    assert "https_proxy: expected http://HOST:PORT" in result.stderr
    assert "canary" not in result.output
