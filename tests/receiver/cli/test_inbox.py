"""The commands as a person types them; only the Redis is beside them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from receiver.batch_names import SubmissionName
from receiver.cli import main
from receiver.inbox.delivery_log import DeliveryLog, RejectedDelivery, name_delivery
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.paused import fetch_paused
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from receiver.submissions.ledger_entry import accept_submission
from tests.receiver.inbox.test_queries import claimed, fill


@pytest.fixture
def client(redis_url: str) -> "Iterator[redis.Redis]":
    with connect(redis_url) as client:
        fill(client)
        yield client


def run(redis_url: str, *args: str) -> Result:
    return CliRunner().invoke(
        main, ["inbox", *args], env={"GEMINI_API_KEY": "k", "REDIS_URL": redis_url}
    )


def test_list_shows_every_batch(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "list")
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [
        [f"batches/{one}", one] for one in ("open", "leased", "buried", "done")
    ]
    assert rows[2][-3:] == ["no", "such", "file"]
    assert result.stderr == "4 of 4 batches\n"
    assert client.zcard("gbr:due") == 2


def test_list_tells_of_submissions_under_way(client: "redis.Redis", redis_url: str) -> None:
    for project in ("", "acme"):
        accept_submission(client, SubmissionName(project, "1" * 20))
    said = run(redis_url, "list").stderr.splitlines()
    hint = "`gemini-batch-receiver submissions queue` shows what they wait for"
    assert said == ["4 of 4 batches", f"2 submissions are under way: {hint}"]
    assert "1 submission is under way" in run(redis_url, "list", "--project", "acme").stderr


def test_a_delivery_is_opened_and_taken_in_again(client: "redis.Redis", redis_url: str) -> None:
    name, body = name_delivery("", "v1", "msg_1"), b'{"type":"batch.succeeded","data":{"id":"abc",'
    body += b'"user_metadata":{"night":7}}}'
    Inbox(client).accept([Arrival("batches/abc", "batch.succeeded", "static", name)])
    book = DeliveryLog(client)
    book.contents.add(name, {b"host": b"x", b"authorization": b"Bearer secret"}, body)
    book.add(RejectedDelivery("refused", ":msg_2", cause="no signature fits"))
    book.flush()

    said = run(redis_url, "delivery", "msg_1").stdout
    assert "verdict     accepted" in said
    assert said.endswith(f"\nauthorization: …\nhost: x\n\n{body.decode()}\n")
    found = json.loads(run(redis_url, "delivery", "msg_1", "--json").stdout)
    assert (found["body"], found["headers"]["host"]) == (body.decode(), "x")
    assert json.loads(run(redis_url, "delivery", "msg_2", "--json").stdout)["body"] is None

    again = run(redis_url, "delivery", "msg_1", "--again")
    assert again.stdout == "batches/abc is in the inbox already, and not ended\n"
    Inbox(client).purge(["batches/abc"])
    assert run(redis_url, "delivery", "msg_1", "--again").stdout == "batches/abc is queued\n"
    entry = Inbox(client).entries(["batches/abc"])["batches/abc"]
    assert (entry.state, entry.source, entry.metadata) == ("open", "static", {"night": 7})

    refused = run(redis_url, "delivery", "msg_2", "--again")
    assert (refused.exit_code, "it was refused" in refused.stderr) == (1, True)
    absent = run(redis_url, "delivery", "msg_\x1b3")
    assert (absent.exit_code, "\x1b" in absent.stderr) == (1, False)


def test_buried_batches_are_retried_by_their_cause(client: "redis.Redis", redis_url: str) -> None:
    inbox = Inbox(client)
    for name, cause in (
        ("a", "Over its QUOTA"),
        ("b", "no such file"),
        ("acme/batches/c", "quota"),
    ):
        batch = name if "/" in name else f"batches/{name}"
        inbox.bury(claimed(inbox, batch), cause)
    options = ("retry", "--all-buried", "--cause", "quota")
    assert run(redis_url, *options, "--project", "acme", "--json").stdout == (
        '{"queued":["acme/batches/c"],"left":[]}\n'
    )
    result = run(redis_url, *options, "batches/b", "--json")
    assert json.loads(result.stdout)["queued"] == ["batches/b", "batches/a"]
    assert InboxQueries(client).names("buried") == ["batches/buried"]
    assert run(redis_url, "retry", "batches/b", "--cause", "x").exit_code == 2


def run_with_acme(redis_url: str, *args: str) -> Result:
    environ = {"GEMINI_API_KEY": "k", "GEMINI_API_KEY__ACME": "k2", "REDIS_URL": redis_url}
    return CliRunner().invoke(main, ["inbox", *args], env=environ)


def test_projects_are_paused_and_resumed(client: "redis.Redis", redis_url: str) -> None:
    said = run_with_acme(redis_url, "pause", "--project", "acme").stdout
    resume = "`gemini-batch-receiver inbox resume --project acme` goes on"
    assert said == f"acme: paused: workers take nothing of it; {resume}\n"
    assert list(fetch_paused(client)) == ["acme"]
    assert json.loads(run_with_acme(redis_url, "pause", "--json").stdout) == ["default"]
    again = run_with_acme(redis_url, "pause").stdout.splitlines()
    assert [line.partition(": ")[2].partition(";")[0] for line in again] == [
        "it was paused before"
    ] * 2
    assert run_with_acme(redis_url, "pause", "--project", "other").exit_code == 2

    said = run_with_acme(redis_url, "resume", "--project", "default").stdout
    assert said == "default: resumed: workers take what is due within 60 seconds\n"
    assert json.loads(run_with_acme(redis_url, "resume", "--json").stdout) == ["acme"]
    assert run_with_acme(redis_url, "resume", "--project", "acme").stdout == (
        "acme: it was not paused\n"
    )
    assert fetch_paused(client) == {}


def test_list_takes_state_and_limit(client: "redis.Redis", redis_url: str) -> None:
    Inbox(client).accept([Arrival("batches/more", "batch.succeeded", "static")])
    assert run(redis_url, "list", "--state", "buried", "--limit", "1").stderr == "1 of 1 batch\n"
    assert run(redis_url, "list", "--limit", "1").stderr == "1 of 5 batches\n"
    assert run(redis_url, "list", "--state", "lost").exit_code == 2


def test_list_finds_batches(client: "redis.Redis", redis_url: str) -> None:
    night = Summary(display_name="Night", model="models/flash", outcomes={"ok": 1, "error": 2})
    for name in ("acme/batches/n1", "batches/n2"):
        Inbox(client).finish(claimed(Inbox(client), name), night)

    def found(*args: str) -> list[str]:
        entries = json.loads(run(redis_url, "list", "--json", *args).stdout)
        return [entry["batch"].removeprefix("batches/") for entry in entries]

    assert found("--find", "such file") == ["buried"]
    assert found("--find", "night") == ["n2", "acme/batches/n1"]
    assert found("--find", "night", "--oldest") == ["acme/batches/n1", "n2"]
    assert found("--model", "FLASH", "--project", "acme") == ["acme/batches/n1"]
    assert found("--outcome", "error", "--limit", "1") == ["n2"]
    assert found("--find", "night", "--since", "1h", "--until", "2100-01-01") != []
    assert found("--since", "2100-01-01") == found("--until", "1h") == []
    one = run(redis_url, "list", "--find", "night", "--limit", "1").stderr
    assert one.startswith("the first 1 batch found\n")
    assert run(redis_url, "list", "--find", "night").stderr.startswith("2 batches found\n")
    assert run(redis_url, "list", "--outcome", "ok").exit_code == 2


@pytest.mark.usefixtures("client")
def test_list_prints_json(redis_url: str) -> None:
    (entry,) = json.loads(run(redis_url, "list", "--state", "buried", "--json").stdout)
    expected = {
        "batch": "batches/buried",
        "state": "buried",
        "cause": "no such file",
        "attempts": 0,
        "source": "static",
    }
    assert entry | expected == entry
    assert entry["age_s"] >= 0


def test_deliveries_are_listed_with_verdicts(client: "redis.Redis", redis_url: str) -> None:
    Inbox(client).accept([Arrival("batches/abc", "batch.succeeded", "static", "static:msg_1")] * 2)
    book = DeliveryLog(client)
    book.add(RejectedDelivery("refused", ":msg_\x1b[31m", cause="no signature fits"))
    book.flush()
    result = run(redis_url, "deliveries")
    assert sorted(line.split()[1] for line in result.stdout.splitlines()[1:]) == [
        "accepted",
        "known",
        "refused",
    ]
    assert "\x1b" not in result.stdout
    found = json.loads(run(redis_url, "deliveries", "--json").stdout)
    assert sorted(one["verdict"] for one in found) == ["accepted", "known", "refused"]
    assert len(run(redis_url, "deliveries", "--limit", "2").stdout.splitlines()) == 3


@pytest.mark.usefixtures("client")
def test_show_prints_all_fields(redis_url: str) -> None:
    result = run(redis_url, "show", "buried")
    assert result.exit_code == 0
    assert {"state     buried", "cause     no such file", "attempts  0 failed"} <= set(
        result.stdout.splitlines()
    )
    assert json.loads(run(redis_url, "show", "batches/done", "--json").stdout)["summary"][
        "outcomes"
    ] == {"ok": 3}


def test_show_is_for_people(client: "redis.Redis", redis_url: str) -> None:
    """No value is printed as Python would write it."""
    inbox = Inbox(client)
    inbox.accept(
        [Arrival("batches/new", "batch.succeeded", "dynamic", metadata='{"job": "n", "n": 1}')]
    )
    lease = inbox.claim("batches/new")
    assert lease is not None
    inbox.renew(
        lease,
        progress=JobProgress(stage="split", bytes=1200, total_bytes=3000, lines=4, requests=10),
    )
    running = run(redis_url, "show", "new").stdout
    assert 'metadata  {"job": "n", "n": 1}' in running.splitlines()
    assert "progress  split: 1,200 of 3,000 bytes, 4 of 10 results" in running.splitlines()
    inbox.finish(
        lease,
        Summary(
            state="SUCCEEDED", requests=5, outcomes={"ok": 0, "error": 5}, missing=0, balanced=True
        ),
    )
    stored = run(redis_url, "show", "new").stdout
    assert {"judgement stored; 5 errors", "outcomes  error 5", "cost      unknown"} <= set(
        stored.splitlines()
    )
    assert (
        "next      `gemini-batch-receiver batches show new` says what to do" in stored.splitlines()
    )
    assert not [word for word in ("None", "True", "{'", "Summary(") if word in running + stored]
    assert (
        json.loads(run(redis_url, "show", "new", "--json").stdout)["judgement"]
        == "stored; 5 errors"
    )


@pytest.mark.usefixtures("client")
def test_unknown_batch_is_said(redis_url: str) -> None:
    result = run(redis_url, "show", "nosuchbatch")
    assert (result.exit_code, "the inbox does not know batches/nosuchbatch" in result.stderr) == (
        1,
        True,
    )
    assert run(redis_url, "show", "no/such/batch").exit_code == 1


def test_retry_opens_and_rings(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "retry", "buried", "nosuchbatch")
    assert (result.exit_code, result.stdout) == (1, "1 of 2 queued\n")
    entry = Inbox(client).entries(["batches/buried"])["batches/buried"]
    assert (entry.state, entry.source, entry.attempts) == ("open", "retry", 0)
    assert open_queue(client).count == 1
    assert Inbox(client).entries(["batches/nosuchbatch"]) == {}


def test_retry_takes_all_buried(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "retry", "--all-buried", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (
        0,
        {"queued": ["batches/buried"], "left": []},
    )
    assert Inbox(client).entries(["batches/buried"])["batches/buried"].state == "open"
    assert run(redis_url, "retry", "--all-buried").stdout == "0 of 0 queued\n"


def test_bury_takes_what_is_owed(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "bury", "open", "leased", "done", "--cause", "wrong prompt")
    assert (result.exit_code, result.stdout) == (1, "2 of 3 buried\n")
    hint, refusal = result.stderr.splitlines()
    assert hint == "`gemini-batch-receiver inbox retry` opens them again"
    assert refusal == "batches/done has ended: there is no work to stop"
    entries = Inbox(client).entries(["batches/open", "batches/leased", "batches/done"])
    assert [entry.state for entry in entries.values()] == ["buried", "buried", "done"]
    assert entries["batches/leased"].cause == "wrong prompt"
    said = run(redis_url, "bury", "leased", "nosuchbatch").stderr.splitlines()
    assert said[0] == "batches/leased was buried by hand before: wrong prompt"
    assert said[1].startswith("the inbox does not know batches/nosuchbatch: ")
    told = json.loads(run(redis_url, "bury", "leased", "--json").stdout)
    assert told == {"buried": [], "left": ["batches/leased"]}


def test_purge_wants_a_yes(client: "redis.Redis", redis_url: str) -> None:
    result = run(redis_url, "purge", "--buried", "--done")
    assert (result.exit_code, "forget 2 batches" in result.stderr) == (2, True)
    assert len(Inbox(client).entries(["batches/buried", "batches/done"])) == 2
    assert run(redis_url, "purge", "--buried", "--done", "--yes").stdout == "2 of 2 purged\n"
    assert Inbox(client).entries(["batches/buried", "batches/done"]) == {}


@pytest.mark.usefixtures("client")
def test_named_batch_is_purged(redis_url: str) -> None:
    result = run(redis_url, "purge", "open", "nosuchbatch", "--yes", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (
        1,
        {"purged": ["batches/open"], "left": ["batches/nosuchbatch"]},
    )


@pytest.mark.parametrize("command", ["retry", "purge"])
@pytest.mark.usefixtures("client")
def test_nothing_named_is_a_usage_error(redis_url: str, command: str) -> None:
    assert run(redis_url, command).exit_code == 2


def test_absent_redis_is_said_in_words() -> None:
    result = run("redis://127.0.0.1:9/0", "list")
    assert (result.exit_code, "Redis did not answer" in result.stderr) == (1, True)


ACME = "acme/batches/abc"


@pytest.fixture
def two_projects(client: "redis.Redis") -> "redis.Redis":
    """A batch of the project `acme` beside those of the default project, and a delivery of each."""
    arrivals = [
        Arrival(ACME, "batch.succeeded", "static", name_delivery("acme", "v1", "msg_a")),
        Arrival("batches/open", "batch.succeeded", "static", name_delivery("", "v1", "msg_d")),
    ]
    Inbox(client).accept(arrivals)
    book = DeliveryLog(client)
    book.add(
        RejectedDelivery(
            "refused", name_delivery("acme", "", "msg_x"), cause="no signature matches"
        )
    )
    book.flush()
    return client


@pytest.mark.usefixtures("two_projects")
def test_projects_are_listed_apart(redis_url: str) -> None:
    whole = json.loads(run(redis_url, "list", "--json").stdout)
    assert {(one["batch"], one["project"]) for one in whole if one["state"] == "open"} == {
        (ACME, "acme"),
        ("batches/open", ""),
    }
    assert [
        one["batch"]
        for one in json.loads(run(redis_url, "list", "--project", "acme", "--json").stdout)
    ] == [ACME]
    assert ACME not in run(redis_url, "list", "--project", "default").stdout
    assert ACME in run(redis_url, "list").stdout
    assert "project   acme" in run(redis_url, "show", "acme/abc").stdout


@pytest.mark.usefixtures("two_projects")
def test_deliveries_name_their_project(redis_url: str) -> None:
    found = json.loads(run(redis_url, "deliveries", "--json").stdout)
    assert {(one["project"], one["scheme"], one["delivery_id"]) for one in found} == {
        ("acme", "v1", "msg_a"),
        ("", "v1", "msg_d"),
        ("acme", "", "msg_x"),
    }
    shown = run(redis_url, "deliveries", "--project", "acme").stdout
    assert ACME in shown
    assert "acme: no signature matches" in shown
    assert "msg_d" not in shown


def test_purge_and_retry_keep_to_a_project(two_projects: "redis.Redis", redis_url: str) -> None:
    inbox = Inbox(two_projects)
    lease = inbox.claim(ACME)
    assert lease is not None
    inbox.bury(lease, "no such batch")
    assert (
        run(redis_url, "retry", "--all-buried", "--project", "default").stdout == "1 of 1 queued\n"
    )
    assert inbox.entries([ACME])[ACME].state == "buried"
    assert run(redis_url, "purge", "abc", "--project", "acme", "--yes").stdout == "1 of 1 purged\n"
    assert inbox.entries([ACME]) == {}


def test_causes_move_no_cursor(client: "redis.Redis", redis_url: str) -> None:
    client.hset("gbr:entry:batches/buried", "cause", "a\n\x08\x9b2Jb")
    for command in (["list"], ["show", "buried"]):
        shown = run(redis_url, *command).stdout
        assert "2Jb" in shown
        assert not {"\x08", "\x9b"} & set(shown)


@pytest.mark.usefixtures("two_projects")
def test_former_names_still_work(redis_url: str) -> None:
    def run_former(*args: str) -> Result:
        env = {"GEMINI_API_KEY": "k", "REDIS_URL": redis_url}
        return CliRunner().invoke(main, ["events", *args], env=env)

    for args in (["list"], ["show", "buried"]):
        assert run_former(*args).stdout == run(redis_url, *args).stdout
    former = run_former("list", "--deliveries", "--project", "acme", "--json").stdout
    assert former == run(redis_url, "deliveries", "--project", "acme", "--json").stdout
    assert len(json.loads(former)) == 2
    assert "events" not in CliRunner().invoke(main, ["--help"]).stdout.split()


def test_names_are_listed_before_ids(client: "redis.Redis", redis_url: str) -> None:
    inbox = Inbox(client)
    inbox.accept([Arrival("batches/new", "batch.succeeded", "static")])
    lease = inbox.claim("batches/new")
    assert lease is not None
    inbox.finish(lease, Summary(display_name="night \x1b[2J" + "x" * 50, outcomes={"ok": 3}))
    head, *rows = run(redis_url, "list").stdout.splitlines()
    assert head.split()[:2] == ["name", "batch"]
    (row,) = [row for row in rows if "batches/new" in row]
    assert row.startswith(f"night ?[2J{'x' * 29}…  batches/new ")


def test_stored_batch_says_where_it_is(
    client: "redis.Redis", redis_url: str, tmp_path: Path
) -> None:
    assert client.exists("gbr:entry:batches/done")
    env = {"GEMINI_API_KEY": "k", "REDIS_URL": redis_url, "STORAGE_URL": tmp_path.as_uri()}
    shown = CliRunner().invoke(main, ["inbox", "show", "batches/done"], env=env).stdout
    assert f"folder    {tmp_path / 'done'}" in shown.splitlines()
    shown = CliRunner().invoke(main, ["inbox", "show", "batches/buried"], env=env).stdout
    assert "folder" not in shown
