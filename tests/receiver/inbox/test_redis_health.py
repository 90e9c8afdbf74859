import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from rq import Queue

from deploy.sandbox.processes import allocate_port
from deploy.sandbox.valkey import running_valkey
from receiver.errors import InboxUnavailableError, UnfitRedisError
from receiver.inbox.job_queue import QUEUE, JobQueue
from receiver.inbox.redis import connect
from receiver.inbox.redis_health import check_at_start, examine


@pytest.fixture
def client(redis_url: str) -> "Iterator[redis.Redis]":
    with connect(redis_url) as client:
        yield client
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")


def levels(client: "redis.Redis") -> list[str]:
    return [finding.level for finding in examine(client)]


def test_right_redis_has_no_findings(client: "redis.Redis") -> None:
    JobQueue(client).enqueue(["batches/abc"])
    assert examine(client) == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_evicting_redis_is_refused(client: "redis.Redis", policy: str) -> None:
    client.config_set("maxmemory-policy", policy)
    with pytest.raises(UnfitRedisError, match=r"noeviction"):
        check_at_start(client)


def test_cluster_is_refused(tmp_path: Path) -> None:
    bus = ("--cluster-port", str(allocate_port()))  # else that of clients and 10,000
    cluster = running_valkey(tmp_path, "--cluster-enabled", "yes", *bus)
    with cluster as url, connect(url) as client:
        assert levels(client) == ["refuse"]
        with pytest.raises(UnfitRedisError, match="cluster mode disabled"):
            check_at_start(client)


def test_volatile_policy_is_warned_of(client: "redis.Redis") -> None:
    client.config_set("maxmemory-policy", "volatile-lru")
    check_at_start(client)
    assert levels(client) == ["warn"]


def test_missing_append_only_file_is_warned_of(client: "redis.Redis") -> None:
    client.config_set("appendonly", "no")
    assert ["appendonly yes" in finding.text for finding in examine(client)] == [True]
    assert levels(client) == ["warn"]


def test_pickled_jobs_are_warned_of(client: "redis.Redis") -> None:
    Queue(QUEUE, connection=client).enqueue("os.getcwd")
    (finding,) = examine(client)
    assert (finding.level, "1 of the first 1 waiting RQ jobs are not JSON" in finding.text) == (
        "warn",
        True,
    )


@pytest.mark.parametrize("nonsense", ["a string", "a list of bytes"])
def test_nonsense_in_the_queue_stops_no_start(client: "redis.Redis", nonsense: str) -> None:
    if nonsense == "a string":
        client.set(f"rq:queue:{QUEUE}", "x")
    else:
        client.lpush(f"rq:queue:{QUEUE}", b"\xff")
        client.set("rq:job:\N{REPLACEMENT CHARACTER}", "x")
    check_at_start(client)
    assert levels(client) == ["warn"]


@contextmanager
def denied_client(client: "redis.Redis", redis_url: str, *denied: str) -> "Iterator[redis.Redis]":
    """A user that may not run some commands, as on a managed Redis."""
    commands = ["+@all", *(f"-{name}" for name in denied)]
    client.acl_setuser(
        "guest", enabled=True, passwords=["+guest-word"], keys=["*"], commands=commands
    )
    try:
        with connect(redis_url.replace("redis://", "redis://guest:guest-word@")) as guest:
            yield guest
    finally:
        client.acl_deluser("guest")


def test_info_answers_where_config_is_denied(client: "redis.Redis", redis_url: str) -> None:
    with denied_client(client, redis_url, "config") as guest:
        assert levels(guest) == []
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(UnfitRedisError):
            check_at_start(guest)


def test_config_answers_where_info_is_denied(client: "redis.Redis", redis_url: str) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    with denied_client(client, redis_url, "info") as guest:
        assert levels(guest) == ["refuse", "warn"]


def test_silent_redis_is_not_refused(client: "redis.Redis", redis_url: str) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    with denied_client(client, redis_url, "config", "info") as guest:
        check_at_start(guest)
        assert levels(guest) == ["info", "info"]


@pytest.mark.parametrize(("offset_s", "said"), [(60, "60 s ahead of"), (-60, "60 s behind")])
def test_skewed_clock_is_warned_of(client: "redis.Redis", offset_s: float, said: str) -> None:
    (finding,) = examine(client, clock=lambda: time.time() + offset_s)
    assert (finding.level, said in finding.text) == ("warn", True)


def test_absent_redis_is_said_in_words() -> None:
    with (
        connect(f"redis://127.0.0.1:{allocate_port()}/0") as nowhere,
        pytest.raises(InboxUnavailableError),
    ):
        check_at_start(nowhere)


@pytest.mark.parametrize("command", ["serve", "worker", "doctor"])
def test_no_process_starts_on_an_evicting_redis(tmp_path: Path, command: str) -> None:
    with running_valkey(tmp_path, "--maxmemory-policy", "allkeys-lru", "--appendonly", "no") as url:
        nowhere = f"http://127.0.0.1:{allocate_port()}"
        environ = {
            "GEMINI_API_KEY": "k",
            "REDIS_URL": url,
            "STORAGE_URL": (tmp_path / "out").as_uri(),
        }
        environ |= {"GEMINI_BASE_URL": nowhere, "PORT": str(allocate_port())}
        result = subprocess.run(
            [sys.executable, "-m", "workers", command],
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert "set `maxmemory-policy noeviction`" in result.stderr + result.stdout
    assert "Traceback" not in result.stderr
    if command != "doctor":
        logged = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
        assert [line["level"] for line in logged if line["event"] == "redis.checked"] == [
            "error",
            "warning",
        ]
