"""What web processes say of themselves, in a real Valkey."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import redis

from receiver.settings import Settings, read_settings
from receiver.web_presence import GONE_AFTER_S, WEB, Presence, read_web_processes
from receiver.webhooks.evidence import Evidence
from receiver.webhooks.reports import WebProcess
from tests.receiver.forging import SECRET_TEXT
from tests.waiting import eventually


def settings_of(**more: str) -> Settings:
    return read_settings({"GEMINI_API_KEY": "k", "RECONCILE_INTERVAL_S": "0"} | more)


@contextmanager
def present(client: "redis.Redis", settings: Settings) -> Iterator[None]:
    presence = Presence(client, settings, {name: Evidence() for name in settings.projects})
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
        assert SECRET_TEXT[6:-8] not in str(client.hvals(WEB))
        assert client.ttl(WEB) > GONE_AFTER_S
    assert read_web_processes(client) == []


def test_killed_process_is_forgotten(client: "redis.Redis") -> None:
    seconds, _ = client.time()
    old = WebProcess(host="h", pid=1, seen_ms=int((seconds - GONE_AFTER_S - 1) * 1000))
    client.hset(WEB, mapping={"old": msgspec.json.encode(old), b"\xff": b"\xff", "junk": "{}"})
    assert read_web_processes(client) == []
    with present(client, settings_of()):
        eventually(lambda: read_web_processes(client))
        assert client.hlen(WEB) == 1


def test_wiped_redis_hears_of_it_again(client: "redis.Redis") -> None:
    with present(client, settings_of()):
        eventually(lambda: read_web_processes(client))
        client.flushall()
        eventually(lambda: read_web_processes(client))
