"""A Redis that answers and takes no writes, in each of the ways that a real one has."""

import shutil
from pathlib import Path

import pytest
import redis

from deploy.sandbox.processes import allocate_port
from deploy.sandbox.valkey import running_valkey
from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import WRITE_PROBE, connect
from receiver.inbox.redis_health import find_write_obstacle
from tests.waiting import eventually


def test_trial_leaves_nothing(client: "redis.Redis") -> None:
    client.set(WRITE_PROBE, "somebody else's")
    assert find_write_obstacle(client) is None
    assert client.keys("*") == []


def test_full_redis_is_said_while_memory_is_short(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as url, connect(url) as client:
        client.config_set("maxmemory", "1mb")
        assert "Redis is full" in (find_write_obstacle(client) or "")
        client.config_set("maxmemory", "0")
        assert find_write_obstacle(client) is None


def test_replica_is_said(tmp_path: Path, redis_url: str) -> None:
    port = redis_url.rpartition(":")[2].partition("/")[0]
    with running_valkey(tmp_path, "--replicaof", "127.0.0.1", port) as url, connect(url) as client:
        assert "read-only replica" in (find_write_obstacle(client) or "")


def test_redis_without_its_disk_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    with (
        running_valkey(folder, "--appendonly", "no", "--save", "3600 1") as url,
        connect(url) as client,
    ):
        client.set("one", 1)
        shutil.rmtree(folder)
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        assert "can't save" in (find_write_obstacle(client) or "")


def test_missing_replicas_are_said(tmp_path: Path) -> None:
    with running_valkey(tmp_path, "--min-replicas-to-write", "1") as url, connect(url) as client:
        assert "too few replicas" in (find_write_obstacle(client) or "")


@pytest.mark.parametrize(
    "rights",
    ["~* +@read +ping +evalsha +eval", "~* +@read +ping", "~other:* +@all", "~gbr:* +@read"],
)
def test_user_who_may_not_write_is_said(tmp_path: Path, rights: str) -> None:
    with running_valkey(tmp_path) as url, connect(url) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", *rights.split())
        with connect(url.replace("redis://", "redis://reader:pw@")) as reader:
            assert "may not write" in (find_write_obstacle(reader) or "")


@pytest.mark.parametrize("command", ["set", "del", "hset", "zadd", "lpush", "sadd", "pexpire"])
def test_user_who_may_write_in_part_is_said(client: "redis.Redis", command: str) -> None:
    client.acl_setuser(
        "partly",
        enabled=True,
        passwords=["+pw"],
        keys=["*"],
        categories=["+@all"],
        commands=[f"-{command}"],
        reset=True,
    )
    port = client.get_connection_kwargs()["port"]
    with connect(f"redis://partly:pw@127.0.0.1:{port}/0") as partly:
        assert "may not write" in (find_write_obstacle(partly) or "")
    client.acl_deluser("partly")


def test_user_of_our_keys_alone_may_accept(tmp_path: Path) -> None:
    """RQ's keys are the workers'."""
    with running_valkey(tmp_path) as url, connect(url) as client:
        client.execute_command("ACL", "SETUSER", "ours", "on", ">pw", "~gbr:*", "+@all")
        with connect(url.replace("redis://", "redis://ours:pw@")) as ours:
            assert find_write_obstacle(ours, WRITE_PROBE) is None
            assert "may not write" in (find_write_obstacle(ours) or "")


def test_absent_redis_is_an_error() -> None:
    with (
        connect(f"redis://127.0.0.1:{allocate_port()}/0") as nowhere,
        pytest.raises(InboxUnavailableError),
    ):
        find_write_obstacle(nowhere)
