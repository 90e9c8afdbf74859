"""The commands as a person types them; Redis and the receivers are real."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result
from rq import Queue

from receiver.cli import main
from receiver.notices.outbox import Outbox, read_outbox_status
from receiver.notices.payloads import describe_manifest
from receiver.notices.queue import NoticeQueue
from receiver.outputs.manifest import encode_manifest
from receiver.settings.notice_keys import NoticeKey
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


def test_test_enqueues_a_job_and_counts_workers(
    settings: dict[str, str], client: "redis.Redis"
) -> None:
    told = {"NOTIFY_URL": "rq://mail/shop.tell", "NOTIFY_EVENTS": "batch.buried"}
    result = run(settings | told, "test")
    (job_id,) = Queue("mail", connection=client).get_job_ids()
    assert result.stdout.startswith("ok    rq://mail (")
    assert f"enqueued as {job_id} in " in result.stdout
    assert result.stdout.endswith("; no worker listens to the queue\n")
    client.sadd("rq:workers:mail", "rq:worker:one")  # as RQ does
    assert run(settings | told, "test").stdout.endswith("; 1 worker listens to the queue\n")


def test_target_goes_by_its_name(settings: dict[str, str], mine: str, receiver: Receiver) -> None:
    named = {f"{key}__OPS": settings[key] for key in ("NOTIFY_URL", "NOTIFY_SECRET")}
    told = settings | named | {"NOTIFY_URL": ""}
    assert "127.0.0.1 (ops)" in run(told, "list").stdout
    assert run(told, "test").stdout.startswith("ok    127.0.0.1 (ops, ")
    (trial,) = json.loads(run(told, "test", "--json").stdout)
    assert (trial["host"], trial["name"]) == ("127.0.0.1", "ops")
    receiver.received[0].verify(SECRET_TEXT)
    assert mine.startswith(trial["target"])


def test_keys_are_those_that_verify(settings: dict[str, str], receiver: Receiver) -> None:
    made = run(settings, "keys", "--new")
    variable, _, key = made.stdout.strip().partition("=")
    public_key = made.stderr.split()[-1]
    assert (variable, key[:5], public_key[:5]) == ("NOTIFY_SECRET", "whsk_", "whpk_")
    assert key not in made.stderr
    told = settings | {"NOTIFY_SECRET": f"{SECRET_TEXT} {key}"}
    title, row = run(told, "keys").stdout.splitlines()
    assert row.split() == ["NOTIFY_SECRET", public_key, "127.0.0.1"]
    assert title.split() == ["variable", "public", "key", "verifies", "notices", "to"]
    (one,) = json.loads(run(told, "keys", "--json").stdout)
    assert one["public_keys"] == [public_key]
    assert run(told, "test").exit_code == 0
    receiver.received[0].verify_asymmetric(public_key)
    fresh = json.loads(run(settings, "keys", "--new", "--json").stdout)
    assert NoticeKey.parse(fresh["private_key"]).public_key == fresh["public_key"] != public_key


def test_lack_of_private_keys_is_said(settings: dict[str, str]) -> None:
    result = run(settings, "keys")
    assert (result.exit_code, "`notices keys --new` makes one" in result.stderr) == (1, True)


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
