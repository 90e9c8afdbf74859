"""What web processes say of themselves, in a real Valkey."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
import redis

from receiver.gemini.registered_webhooks import BATCH_EVENTS
from receiver.gemini.transport import Transport
from receiver.gemini.webhook_reports import Evidence, ServedProject, WebProcess
from receiver.gemini.webhooks import Webhooks
from receiver.inbox.redis import WEB_PROCESSES
from receiver.recovery.web_presence import GONE_AFTER_S, Presence, read_web_processes
from receiver.settings.settings import Settings, read_settings
from tests.receiver.forging import SECRET_TEXT
from tests.running import CLIENT
from tests.waiting import eventually


def settings_of(**more: str) -> Settings:
    return read_settings({"GEMINI_API_KEY": "k", "RECONCILE_INTERVAL_S": "0"} | more)


@contextmanager
def present(client: "redis.Redis", settings: Settings) -> Iterator[None]:
    evidence = {name: Evidence() for name in settings.projects}
    presence = Presence(client, settings, evidence, unsettled_pause_s=0.2)
    presence.start()
    try:
        yield
    finally:
        presence.stop()


def test_process_says_what_it_has_and_leaves_with_it(client: "redis.Redis") -> None:
    settings = settings_of(GEMINI_WEBHOOK_SECRET=SECRET_TEXT, GEMINI_API_KEY__ACME="other")
    with present(client, settings):
        (found,) = eventually(lambda: read_web_processes(client))
        assert [(one.project, one.secrets, one.is_registered) for one in found.projects] == [
            ("", 1, None),
            ("acme", 0, None),
        ]
        assert found.projects[0].why_unknown == "RECONCILE_INTERVAL_S is 0"
        assert SECRET_TEXT[6:-8] not in str(client.hvals(WEB_PROCESSES))
        assert client.ttl(WEB_PROCESSES) > GONE_AFTER_S
    assert read_web_processes(client) == []


def test_killed_process_is_forgotten(client: "redis.Redis") -> None:
    seconds, _ = client.time()
    old = WebProcess(host="h", pid=1, seen_ms=int((seconds - GONE_AFTER_S - 1) * 1000))
    client.hset(
        WEB_PROCESSES, mapping={"old": msgspec.json.encode(old), b"\xff": b"\xff", "junk": "{}"}
    )
    assert read_web_processes(client) == []
    with present(client, settings_of()):
        eventually(lambda: read_web_processes(client))
        assert client.hlen(WEB_PROCESSES) == 1


def test_wiped_redis_hears_of_it_again(client: "redis.Redis") -> None:
    with present(client, settings_of()):
        eventually(lambda: read_web_processes(client))
        client.flushall()
        eventually(lambda: read_web_processes(client))


def served_by(client: "redis.Redis") -> ServedProject:
    (process,) = eventually(lambda: read_web_processes(client))
    return process.projects[0]


def test_what_a_person_mends_is_seen_long_before_the_next_look(
    client: "redis.Redis", sandbox_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody should register what was registered a moment ago; a check logs each fault once."""
    CLIENT.delete(f"{sandbox_url}/sandbox/state").raise_for_status()
    origin, key = "https://batches.example.com", "right-key"
    more = {
        "GEMINI_API_KEY": key,
        "GEMINI_BASE_URL": sandbox_url,
        "PUBLIC_URL": origin,
        "RECONCILE_INTERVAL_S": "900",
    }
    with Transport(sandbox_url, key, "v1beta") as transport:
        webhooks = Webhooks(transport)
        with present(client, settings_of(**more)):
            eventually(lambda: served_by(client).is_registered is False)
            webhook, _ = webhooks.create(f"{origin}/webhooks/gemini", BATCH_EVENTS, None)
            eventually(lambda: served_by(client).is_registered)
            webhooks.update(webhook.id, {"state": "disabled"})
            eventually(lambda: served_by(client).faults)
            webhooks.update(webhook.id, {"state": "enabled"})
            eventually(lambda: not served_by(client).faults)
    logged = [
        record.getMessage()
        for record in caplog.records
        if record.getMessage().startswith("webhook.")
    ]
    assert logged == ["webhook.disabled"]
