"""The web process as it runs: a real server, a real Valkey, and the stand-in's key set."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from deploy.sandbox.processes import allocate_port
from deploy.sandbox.valkey import running_valkey
from receiver.inbox.job_queue import open_queue
from receiver.inbox.redis import ENTRY
from tests.receiver import forging
from tests.running import CLIENT, answers, running_program
from tests.waiting import eventually

EVENT = {
    "type": "batch.succeeded",
    "version": "v1",
    "timestamp": "2026-01-22T12:00:00Z",
    "data": {"id": "batches/abc"},
}


def settings_of(redis_url: str, sandbox_url: str, storage_url: str, port: int) -> dict[str, str]:
    return {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": sandbox_url,
        "GEMINI_WEBHOOK_SECRET": forging.SECRET_TEXT,
        "REDIS_URL": redis_url,
        "STORAGE_URL": storage_url,
        "PORT": str(port),
        "RECONCILE_INTERVAL_S": "0",  # the stand-in's batches of other tests would be queued
    }


@pytest.fixture(scope="module")
def started_web(
    valkey_url: str, sandbox_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    port, folder = allocate_port(), tmp_path_factory.mktemp("web")
    settings = settings_of(valkey_url, sandbox_url, (folder / "outputs").as_uri(), port)
    with running_program(folder, settings, "serve"):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{url}/ready"), 20)
        yield url


@pytest.fixture
def web_url(started_web: str, redis_url: str) -> str:  # noqa: ARG001 - it empties Redis
    """One web process for all tests, whose Redis is emptied before each."""
    return started_web


def deliver(
    web_url: str, event: Any = EVENT, delivery_id: str = "msg_1", **headers: str
) -> httpx.Response:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    now = int(time.time())
    entry = forging.static_entry(forging.SECRET.key, forging.signed_bytes(body, now, delivery_id))
    signed = (
        forging.headers(entry, now, delivery_id) | {"content-type": "application/json"} | headers
    )
    return CLIENT.post(f"{web_url}/webhooks/gemini", content=body, headers=signed)


def entry_of(redis_url: str, batch: str = "batches/abc") -> dict[bytes, bytes]:
    with redis.Redis.from_url(redis_url) as client:
        found: dict[bytes, bytes] = client.hgetall(ENTRY + batch)
        return found


def test_delivery_is_recorded_and_rung(web_url: str, redis_url: str) -> None:
    assert deliver(web_url).status_code == 202
    assert entry_of(redis_url)[b"state"] == b"open"
    with redis.Redis.from_url(redis_url) as client:
        eventually(lambda: open_queue(client).count == 1)


def test_second_delivery_is_known(web_url: str, redis_url: str) -> None:
    assert deliver(web_url).status_code == 202
    assert deliver(web_url).status_code == 200
    assert deliver(web_url, delivery_id="msg_2").json() == {"status": "known"}
    with redis.Redis.from_url(redis_url) as client:
        eventually(lambda: open_queue(client).count == 1)


@pytest.mark.parametrize(
    "event", [{"type": "video.generated", "data": {"id": "x"}}, {}, {"type": "webhook.ping"}]
)
def test_foreign_event_is_acknowledged(web_url: str, redis_url: str, event: dict[str, Any]) -> None:
    answer = deliver(web_url, event)
    assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})
    with redis.Redis.from_url(redis_url) as client:
        assert not client.exists("gbr:due")


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": forging.STATIC_ENTRY},
        {"webhook-signature": "v1a," + "A" * 86 + "=="},
        {"webhook-signature": "a.b.c"},
        {"webhook-signature": ""},
        {"webhook-timestamp": "1"},
    ],
)
def test_unproven_delivery_gets_one_answer(
    web_url: str, redis_url: str, headers: dict[str, str]
) -> None:
    answer = deliver(web_url, **headers)
    assert (answer.status_code, answer.json()) == (
        401,
        {"error": "the delivery is not proven to come from Gemini"},
    )
    assert not entry_of(redis_url)


@pytest.mark.parametrize(
    "body", [b"not json", b"[]", b'{"type":"batch.succeeded","data":{"id":"../x"}}']
)
def test_broken_envelope_is_said(web_url: str, body: bytes) -> None:
    assert deliver(web_url, body).status_code == 400


def test_only_json_posts_are_taken(web_url: str) -> None:
    assert CLIENT.get(f"{web_url}/webhooks/gemini").status_code == 405
    assert deliver(web_url, **{"content-type": "text/plain"}).status_code == 415


def test_huge_body_is_refused(web_url: str) -> None:
    assert deliver(web_url, b" " * (1024 * 1024 + 1)).status_code == 413


def test_dynamic_webhook_is_verified(web_url: str, sandbox_url: str, redis_url: str) -> None:
    hook = {"uris": [f"{web_url}/webhooks/gemini"], "user_metadata": {"tenant": "acme"}}
    batch = {"request_count": 1, "webhook_config": hook}
    name = (
        CLIENT.post(f"{sandbox_url}/sandbox/batches", json=batch).raise_for_status().json()["name"]
    )
    eventually(lambda: entry_of(redis_url, name))
    assert entry_of(redis_url, name)[b"door"] == b"dynamic"
    assert json.loads(entry_of(redis_url, name)[b"metadata"]) == {"tenant": "acme"}


def test_health_needs_nothing(web_url: str) -> None:
    assert CLIENT.get(f"{web_url}/health").json() == {"status": "ok"}


def test_redis_that_takes_no_writes_is_not_ready(sandbox_url: str, tmp_path: Path) -> None:
    """It answers PING; a delivery would get 503. Many requests cause one write per second."""
    port = allocate_port()
    with running_valkey(tmp_path) as redis_url, redis.Redis.from_url(redis_url) as client:
        settings = settings_of(redis_url, sandbox_url, (tmp_path / "outputs").as_uri(), port)
        with running_program(tmp_path, settings, "serve"):
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: answers(f"{url}/ready"), 20)
            client.config_set("maxmemory", "1mb")
            eventually(lambda: not answers(f"{url}/ready"), 5)
            said = CLIENT.get(f"{url}/ready")
            assert (said.status_code, said.json()["status"], deliver(url).status_code) == (
                503,
                "not ready",
                503,
            )
            assert said.json()["cause"].startswith("Redis is full and takes no writes")
            client.config_set("maxmemory", "0")
            eventually(lambda: answers(f"{url}/ready"), 5)
            client.config_resetstat()
            began = time.monotonic()
            assert all(CLIENT.get(f"{url}/ready").is_success for _ in range(200))
            seconds = time.monotonic() - began
            assert (
                client.info("commandstats").get("cmdstat_sadd", {"calls": 0})["calls"]
                <= 2 + seconds
            )
            assert client.keys("*probe*") == []


def test_absent_redis_is_no_acceptance(sandbox_url: str, tmp_path: Path) -> None:
    port = allocate_port()
    nowhere = f"redis://127.0.0.1:{allocate_port()}/0"
    settings = settings_of(nowhere, sandbox_url, (tmp_path / "outputs").as_uri(), port)
    with running_program(tmp_path, settings, "serve"):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{url}/health"), 20)
        answer = deliver(url)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert CLIENT.get(f"{url}/ready").status_code == 503
        assert "Redis did not" in (tmp_path / "serve.log").read_text()


def test_missing_secret_is_said_at_start(redis_url: str, sandbox_url: str, tmp_path: Path) -> None:
    port = allocate_port()
    settings = settings_of(redis_url, sandbox_url, (tmp_path / "outputs").as_uri(), port) | {
        "GEMINI_WEBHOOK_SECRET": ""
    }
    with running_program(tmp_path, settings, "serve"):
        eventually(lambda: answers(f"http://127.0.0.1:{port}/ready"), 20)
        assert "set GEMINI_WEBHOOK_SECRET" in (tmp_path / "serve.log").read_text()
        assert deliver(f"http://127.0.0.1:{port}").status_code == 401
