"""The commands as a person types them; Redis and the receivers are real."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.notices.outbox import Outbox, read_outbox_status
from receiver.notices.payloads import describe_manifest
from receiver.notices.queue import NoticeQueue
from receiver.outputs.manifest import encode_manifest
from receiver.settings.notice_targets import make_target
from tests.notice_receiver import Receiver, receiving
from tests.receiver.forging import SECRET_TEXT
from tests.receiver.notices.conftest import BATCH, STORED
from tests.receiver.outputs.test_manifest import MANIFEST

REMOVED = make_target("webhook", "https://removed.example/hunter2")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def settings(redis_url: str, receiver: Receiver, tmp_path: Path) -> dict[str, str]:
    told = {
        "NOTIFY_URL": f"{receiver.url}/hunter2",
        "NOTIFY_SECRET": SECRET_TEXT,
        "NOTIFY_PRIVATE": "true",
    }
    return {"GEMINI_API_KEY": "k", "REDIS_URL": redis_url, "STORAGE_URL": tmp_path.as_uri(), **told}


@pytest.fixture
def mine(client: "redis.Redis", receiver: Receiver) -> str:
    """The name of a notice that waits for the receiver. The same waits for a removed target."""
    digest = make_target("webhook", f"{receiver.url}/hunter2").digest
    Outbox(client, [digest, REMOVED.digest]).enqueue(BATCH, STORED)
    return next(notice.name for notice in Outbox(client).listing() if notice.target == digest)


def run(settings: Mapping[str, str], *args: str) -> Result:
    result = CliRunner().invoke(main, ["notices", *args], env=settings)
    assert "hunter2" not in result.stdout + result.stderr
    return result


def kill(client: "redis.Redis", name: str) -> None:
    queue = NoticeQueue(client, name.partition("/")[0])
    notice = queue.claim()
    assert notice is not None
    queue.mark_dead(notice, "it was \x1b[31mgone")


def test_list_shows_what_waits_and_what_is_dead(
    settings: dict[str, str], client: "redis.Redis", mine: str
) -> None:
    kill(client, mine)
    result = run(settings, "list")
    waiting, dead = result.stdout.splitlines()[1:]
    assert waiting.split()[1:3] == ["waiting", "results.stored"]
    assert "not in the settings" in waiting
    assert dead.split()[:3] == [mine, "dead", "results.stored"]
    assert dead.split(maxsplit=6)[5:] == ["127.0.0.1", f"{BATCH}: it was ?[31mgone"]
    assert result.stderr == "2 of 2 notices\n"
    (only,) = json.loads(run(settings, "list", "--dead", "--json").stdout)
    assert (only["name"], only["host"], only["tries"]) == (mine, "127.0.0.1", 1)
    assert run(settings, "list", "--limit", "1").stderr == "1 of 2 notices\n"


def test_show_prints_what_is_said(settings: dict[str, str], mine: str) -> None:
    lines = set(run(settings, "show", mine).stdout.splitlines())
    assert {
        f"batch    {BATCH}",
        "host     127.0.0.1",
        'data     {"complete":true}',
        "died     -",
    } <= lines
    shown = json.loads(run(settings, "show", mine, "--json").stdout)
    assert (shown["state"], shown["enqueued_ms"] > 0) == ("waiting", True)
    unknown = run(settings, "show", "nobody/msg_x")
    assert (unknown.exit_code, "no notice is called nobody/msg_x" in unknown.stderr) == (1, True)


def test_dead_ones_are_sent_again(
    settings: dict[str, str], client: "redis.Redis", receiver: Receiver, mine: str
) -> None:
    kill(client, mine)
    assert run(settings, "retry", "--all-dead").stdout == "1 of 1 queued\n"
    assert run(settings, "send").stdout == "1 delivered, 0 failed, 0 dead\n"
    receiver.received[0].verify(SECRET_TEXT)
    gone = run(settings, "retry", mine, "--json")
    assert (gone.exit_code, json.loads(gone.stdout)) == (1, {"queued": [], "left": [mine]})


def test_waiting_ones_are_sent_at_once(
    settings: dict[str, str], receiver: Receiver, mine: str
) -> None:
    receiver.answer = lambda _: (503, {}, b"")
    assert run(settings, "send", "--json").stdout == '{"failed":1}\n'
    assert run(settings, "send").stdout == "0 delivered, 0 failed, 0 dead\n"
    assert run(settings, "retry", "--all-waiting").exit_code == 0
    receiver.answer = lambda _: (200, {}, b"")
    assert run(settings, "send").stdout == "1 delivered, 0 failed, 0 dead\n"
    assert len({received.message_id for received in receiver.received}) == 1
    assert mine.endswith(receiver.received[0].message_id)


def test_purge_wants_a_yes(settings: dict[str, str], client: "redis.Redis", mine: str) -> None:
    kill(client, mine)
    result = run(settings, "purge", "--all-dead", "--stale")
    assert (result.exit_code, "forget 2 notices" in result.stderr) == (2, True)
    assert run(settings, "purge", "--stale", "--yes").stdout == "1 of 1 purged\n"
    assert [notice.name for notice in Outbox(client).listing()] == [mine]
    assert run(settings, "purge", mine, "nobody/msg_x", "--yes").exit_code == 1
    assert Outbox(client).listing() == []


@pytest.mark.parametrize("command", ["retry", "purge"])
def test_nothing_named_is_a_usage_error(settings: dict[str, str], command: str) -> None:
    assert run(settings, command).exit_code == 2


def test_replay_makes_a_notice_of_the_manifest(
    settings: dict[str, str], client: "redis.Redis", tmp_path: Path, receiver: Receiver
) -> None:
    """With the id of the first time, as if Redis had been wiped in between."""
    (tmp_path / "b1").mkdir()
    (tmp_path / "b1" / "_manifest.json").write_bytes(encode_manifest(MANIFEST))
    digest = make_target("webhook", f"{receiver.url}/hunter2").digest
    Outbox(client, [digest]).enqueue(BATCH, describe_manifest(MANIFEST))
    (first,) = Outbox(client).listing()
    client.flushall()
    assert run(settings, "replay", "b1").stdout == "1 of 1 queued\n"
    (again,) = Outbox(client).listing()
    assert (again.name, again.data) == (first.name, first.data)
    result = run(settings, "replay", "b1", "b2", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (
        1,
        {"queued": [BATCH], "not_stored": ["batches/b2"]},
    )
    assert "batches/b2 is not stored: the inbox does not know it" in result.stderr


def test_test_says_what_each_answered(settings: dict[str, str], receiver: Receiver) -> None:
    receiver.answer = lambda received: (
        (200, {}, b"ok") if received.path == "/slack" else (404, {}, b"Cannot POST hunter2")
    )
    slack = {"SLACK_WEBHOOK_URL": f"http://127.0.0.1:{receiver.port}/slack"}
    result = run(settings | slack, "test")
    wrong, right = result.stdout.splitlines()
    assert wrong.startswith("WRONG 127.0.0.1 (")
    assert wrong.endswith("127.0.0.1 answered 404")
    assert right.startswith("ok    127.0.0.1 (")
    assert result.exit_code == 1
    signed, text = receiver.received
    signed.verify(SECRET_TEXT)
    assert signed.payload["type"] == "receiver.test"
    assert "test" in text.payload["text"]
    receiver.answer = lambda _: (200, {}, b"")
    assert [one["ok"] for one in json.loads(run(settings, "test", "--json").stdout)] == [True]


@pytest.mark.parametrize("args", [["test"], ["send"], ["replay", "b1"]])
def test_nobody_to_tell_is_said(settings: dict[str, str], args: list[str]) -> None:
    result = run(settings | {"NOTIFY_URL": ""}, *args)
    assert (result.exit_code, "no target is set: set NOTIFY_URL" in result.stderr) == (
        1,
        True,
    )


def test_status_needs_a_person_for_dead_ones(
    settings: dict[str, str], client: "redis.Redis", mine: str
) -> None:
    kill(client, mine)
    result = CliRunner().invoke(main, ["status"], env=settings)
    assert "notices    1 waiting, the oldest due for 0s, 1 dead\n" in result.stdout
    assert "1 notice is dead: `gemini-batch-receiver notices list --dead` says why" in result.stderr
    assert result.exit_code == 1
    assert (
        json.loads(CliRunner().invoke(main, ["status", "--json"], env=settings).stdout)["notices"][
            "dead"
        ]
        == 1
    )
    assert read_outbox_status(client).dead == 1
