"""The commands as a person types them; only the Redis is beside them."""

import json
import logging
from collections.abc import Iterator

import pytest
import redis
from click.testing import CliRunner, Result

from receiver.bell import open_queue
from receiver.cli.group import cli
from receiver.deliveries import Note, NoteBook
from receiver.inbox import Arrival, Inbox, connect
from tests.receiver.test_backlog import fill
from workers.cli import main  # noqa: F401 - it brings the commands into the group


@pytest.fixture
def client(redis_url: str) -> "Iterator[redis.Redis]":
    with connect(redis_url) as client:
        fill(client)
        yield client


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The commands set up logs for a whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def run(redis_url: str, *args: str) -> Result:
    return CliRunner().invoke(cli, ["events", *args], env={"GEMINI_API_KEY": "k", "REDIS_URL": redis_url})


def test_list_shows_every_batch(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "list")
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[f"batches/{one}", one] for one in ("open", "leased", "buried", "done")]
    assert rows[2][-3:] == ["no", "such", "file"]
    assert result.stderr == "4 of 4 batches\n"
    assert client.zcard("gbr:due") == 2


def test_list_takes_state_and_limit(client: "redis.Redis", redis_url: str) -> None:
    Inbox(client).accept([Arrival("batches/more", "batch.succeeded", "static")])
    assert run(redis_url, "list", "--state", "buried", "--limit", "1").stderr == "1 of 1 batches\n"
    assert run(redis_url, "list", "--limit", "1").stderr == "1 of 5 batches\n"
    assert run(redis_url, "list", "--state", "lost").exit_code == 2


@pytest.mark.usefixtures("client")
def test_list_prints_json(redis_url: str) -> None:
    (entry,) = json.loads(run(redis_url, "list", "--state", "buried", "--json").stdout)
    expected = {"batch": "batches/buried", "state": "buried", "cause": "no such file", "attempts": 0, "door": "static"}
    assert entry | expected == entry
    assert entry["age_s"] >= 0


def test_deliveries_are_listed_with_verdicts(client: "redis.Redis", redis_url: str) -> None:
    Inbox(client).accept([Arrival("batches/abc", "batch.succeeded", "static", "static:msg_1")] * 2)
    book = NoteBook(client)
    book.add(Note("refused", ":msg_\x1b[31m", cause="no signature fits"))
    book.flush()
    result = run(redis_url, "list", "--deliveries")
    assert sorted(line.split()[1] for line in result.stdout.splitlines()[1:]) == ["accepted", "known", "refused"]
    assert "\x1b" not in result.stdout
    found = json.loads(run(redis_url, "list", "--deliveries", "--json").stdout)
    assert sorted(one["verdict"] for one in found) == ["accepted", "known", "refused"]
    assert len(run(redis_url, "list", "--deliveries", "--limit", "2").stdout.splitlines()) == 3


@pytest.mark.usefixtures("client")
def test_show_prints_all_fields(redis_url: str) -> None:
    result = run(redis_url, "show", "buried")
    assert result.exit_code == 0
    assert {"state     buried", "cause     no such file", "attempts  0"} <= set(result.stdout.splitlines())
    assert json.loads(run(redis_url, "show", "batches/done", "--json").stdout)["summary"] == {"ok": 3}


@pytest.mark.usefixtures("client")
def test_unknown_batch_is_said(redis_url: str) -> None:
    result = run(redis_url, "show", "nosuchbatch")
    assert (result.exit_code, "the inbox does not know batches/nosuchbatch" in result.stderr) == (1, True)
    assert run(redis_url, "show", "no/such/batch").exit_code == 1


def test_retry_opens_and_rings(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "retry", "buried", "nosuchbatch")
    assert (result.exit_code, result.stdout) == (1, "1 of 2 queued\n")
    entry = Inbox(client).entries(["batches/buried"])["batches/buried"]
    assert (entry.state, entry.door, entry.attempts) == ("open", "retry", 0)
    assert open_queue(client).count == 1
    assert Inbox(client).entries(["batches/nosuchbatch"]) == {}


def test_retry_takes_all_buried(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "retry", "--all-buried", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"queued": ["batches/buried"], "unknown": []})
    assert Inbox(client).entries(["batches/buried"])["batches/buried"].state == "open"
    assert run(redis_url, "retry", "--all-buried").stdout == "0 of 0 queued\n"


def test_purge_wants_a_yes(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "purge", "--buried", "--done")
    assert (result.exit_code, "forget 2 batch(es)" in result.stderr) == (2, True)
    assert len(Inbox(client).entries(["batches/buried", "batches/done"])) == 2
    assert run(redis_url, "purge", "--buried", "--done", "--yes").stdout == "2 of 2 purged\n"
    assert Inbox(client).entries(["batches/buried", "batches/done"]) == {}


@pytest.mark.usefixtures("client")
def test_named_batch_is_purged(redis_url: str) -> None:
    result = run(redis_url, "purge", "open", "nosuchbatch", "--yes", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (
        1,
        {"purged": ["batches/open"], "unknown": ["batches/nosuchbatch"]},
    )


@pytest.mark.parametrize("command", ["retry", "purge"])
@pytest.mark.usefixtures("client")
def test_nothing_named_is_a_usage_error(redis_url: str, command: str) -> None:
    assert run(redis_url, command).exit_code == 2


def test_absent_redis_is_said_in_words() -> None:
    result = run("redis://127.0.0.1:9/0", "list")
    assert (result.exit_code, "Redis did not answer" in result.stderr) == (1, True)
