"""How things stand, in a real Valkey, with and without a real worker."""

import json
import re
import threading
from decimal import Decimal
from email.message import Message
from pathlib import Path

import msgspec
import pytest
import redis
from click.testing import CliRunner, Result
from rq import Worker
from rq.serializers import JSONSerializer

from deploy.sandbox.valkey import running_valkey
from receiver.batch_names import SubmissionName
from receiver.cli import main
from receiver.gemini.webhook_reports import ServedProject, WebhookFault, WebProcess
from receiver.inbox.delivery_log import DeliveryLog, RejectedDelivery, name_delivery
from receiver.inbox.entry_fields import Standing, Summary
from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import DUE, ENTRY, RECONCILE, SUBMISSIONS, WEB_PROCESSES
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.retry import Counter
from receiver.status.overview_queries import take_overview
from receiver.submissions.ledger_entry import accept_submission
from tests.answering import Answer, answering
from tests.receiver.inbox.test_queries import fill
from tests.running import running_program
from tests.waiting import eventually

NO_WEB = "no web process is running: start `gemini-batch-receiver serve`"


def status(redis_url: str, *args: str, **more: str) -> Result:
    return CliRunner().invoke(
        main, ["status", *args], env={"GEMINI_API_KEY": "k", "REDIS_URL": redis_url} | more
    )


@pytest.mark.usefixtures("client")
def test_empty_installation_gets_its_next_steps(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = status(redis_url, GEMINI_API_KEY__ACME="key-acme")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "no web process is running: start `gemini-batch-receiver serve`",
        "no worker is running: start `gemini-batch-receiver worker`",
    ]
    check = "only a web process checks it (`gemini-batch-receiver webhooks doctor` checks it now"
    unseen = "no reconcile run has seen its whole list yet"
    assert [
        line.partition(", `gemini-batch-receiver webhooks create`")[0]
        for line in result.stdout.splitlines()
    ] == [
        "inbox      0 open, 0 leased (0 due), 0 buried, 0 done",
        f"redis      {redis_url}",
        f"storage    {tmp_path / 'outputs'}",
        "web        none was seen lately",
        "worker     none was seen lately",
        "counters   no batch was counted as missed or unbalanced",
        "reconcile  default: there was no reconcile run yet",
        "reconcile  acme: there was no reconcile run yet",
        f"unknown    the state of the webhook of default: {check}",
        f"unknown    the state of the webhook of acme: {check}",
        f"unknown    what there is at Gemini in the project default: {unseen}",
        f"unknown    what there is at Gemini in the project acme: {unseen}",
        "in short   2 problems need attention",
    ]


def say(client: "redis.Redis", *served: ServedProject) -> None:
    """As a web process would."""
    seconds, _ = client.time()
    process = WebProcess(host="h", pid=1, seen_ms=seconds * 1000, projects=list(served))
    client.hset(WEB_PROCESSES, "one", msgspec.json.encode(process))


def test_nothing_wrong_is_not_well_while_something_is_unknown(
    client: "redis.Redis", redis_url: str
) -> None:
    say(client, ServedProject(project="", secrets=1))
    Worker([open_queue(client)], serializer=JSONSerializer).register_birth()  # type: ignore[no-untyped-call] # RQ's
    result = status(redis_url)
    assert (result.exit_code, result.stderr) == (0, "")
    headline = "in short   No problem is known, but not everything is known"
    assert result.stdout.splitlines()[-1] == headline


def test_every_state_is_counted(client: "redis.Redis", redis_url: str) -> None:
    fill(client)
    client.zincrby(DUE, -150_000, "batches/open")
    result = status(redis_url)
    said = result.stdout.splitlines()
    assert said[0] == "inbox      1 open, 1 leased (1 due, the oldest for 2m), 1 buried, 1 done"
    unknown = "an unknown worker, which just started or was killed"
    assert f"leased     batches/leased for 0s by {unknown}" in said
    assert "buried     batches/buried 0s ago, after 0 attempts: no such file" in said
    assert result.exit_code == 1
    web, due, buried = result.stderr.splitlines()
    assert web.startswith("no web process is running")
    assert due == "1 batch is due and no worker is running: start `gemini-batch-receiver worker`"
    assert buried.startswith(
        "1 batch is buried: `gemini-batch-receiver inbox list --state buried` says why"
    )


def test_submissions_are_counted_with_the_oldest_wait(
    client: "redis.Redis", redis_url: str
) -> None:
    old, young, buried, done = (SubmissionName("", digit * 20) for digit in "1234")
    for name in (old, young, buried, done):
        accept_submission(client, name)
    ledger = Inbox(client, ledger=SUBMISSIONS)
    leases = {name: ledger.claim(str(name)) for name in (old, buried, done)}
    assert all(leases.values())
    standing = Standing(
        display_name="weekly\n\x1b[2J",
        model="gemini-3.5-flash",
        state="running",
        requests=3000,
        answered=1204,
        parts=4,
        at_gemini=2,
        overdue=1,
        stored=2,
        rounds=1,
        max_rounds=2,
        cost=Decimal("0.12"),
    )
    said_of_it = msgspec.json.encode(standing).decode()
    ledger.record(leases[old], "standing", said_of_it)  # type: ignore[arg-type]
    ledger.rest(leases[old], 600, "part 2 waits for room")  # type: ignore[arg-type]
    ledger.bury(leases[buried], "no plan")  # type: ignore[arg-type]
    ledger.finish(leases[done], Summary())  # type: ignore[arg-type]
    client.hincrby(f"{SUBMISSIONS.entry}{old}", "accepted", -7_200_000)

    result = status(redis_url)
    said = result.stdout.splitlines()
    first = said.index("submission 2 open, 0 leased (1 due), 1 buried, 1 done")
    assert said[first + 1] == (
        f"{'':<10} weekly ?[2J ({old}) for 2h, running, 2 of 4 parts stored, 2 at Gemini"
        " (1 overdue), round 1 of 2, 1,204 of 3,000 requests answered, cost so far $0.12:"
        " part 2 waits for room"
    )
    assert said[first + 2] == f"{'':<10} {young} for 0s"
    assert "1 submission is due and no worker is running" in result.stderr
    assert "1 submission is buried: `gemini-batch-receiver submissions list" in result.stderr
    shown = json.loads(status(redis_url, "--json").stdout)["submissions"]
    assert shown["oldest"] == shown["under_way"][0]
    assert shown["under_way"] == [
        {
            "submission": str(old),
            "for_s": 7200,
            "cause": "part 2 waits for room",
            "standing": json.loads(said_of_it),
        },
        {"submission": str(young), "for_s": 0, "cause": "", "standing": None},
    ]


def test_deliveries_counters_and_reconcile_runs_are_shown(
    client: "redis.Redis", redis_url: str
) -> None:
    inbox, lock = Inbox(client), ReconcileLock(client, 900)
    inbox.accept(
        [Arrival("batches/a", "batch.succeeded", "static", name_delivery("", "v1", "msg_1"))]
    )
    log = DeliveryLog(client)
    log.add(RejectedDelivery("refused", ":msg_2", cause="no signature\x1b fits"))
    log.flush()
    inbox.increment("unbalanced_batches")
    run = lock.acquire()
    assert run is not None
    lock.release(run, "complete")
    said = status(redis_url).stdout
    assert "accepted v1 batches/a\n" in said
    assert "refused - no signature? fits\n" in said
    assert "counters   unbalanced_batches 1\n" in said
    seen = "default: the last run began 0s ago; the whole list was seen 0s ago"
    assert re.search(rf"{seen}; the next one is due in 1[45]m\n", said)
    off = status(redis_url, RECONCILE_INTERVAL_S="0").stdout
    assert f"{seen}\n" in re.sub(r"\b1s", "0s", off)
    pause_ms = 900_000
    client.hincrby(RECONCILE, "began", -pause_ms)
    assert "; the next one is due now\n" in status(redis_url).stdout


def test_installation_without_webhooks_is_well(client: "redis.Redis", redis_url: str) -> None:
    """Nobody has set an address or a secret, so nobody wants one."""
    served = ServedProject(project="", is_registered=False, faults=[])
    process = WebProcess(host="h", pid=1, seen_ms=client.time()[0] * 1000, projects=[served])
    client.hset(WEB_PROCESSES, "one", msgspec.json.encode(process))
    result = status(redis_url)
    assert result.stderr.splitlines() == [
        "no worker is running: start `gemini-batch-receiver worker`"
    ]
    note = "note       no webhook is registered for the project default: its batches are found by"
    assert note in result.stdout


def test_faults_of_webhooks_need_attention(client: "redis.Redis", redis_url: str) -> None:
    fault = WebhookFault(
        "disabled", "webhooks/1", "it is disabled", "`webhooks update 1 --state enabled`"
    )
    served = ServedProject(project="acme", secrets=1, is_registered=True, faults=[fault])
    say(client, ServedProject(project="", secrets=1, is_registered=True, faults=[]), served)
    result = status(redis_url, GEMINI_API_KEY__ACME="key-acme")
    assert result.exit_code == 1
    assert (
        "the webhook of acme: it is disabled; `webhooks update 1 --state enabled`"
        in result.stderr.splitlines()
    )


def test_full_redis_is_not_well(tmp_path: Path) -> None:
    """Nor is it known who runs: they can't report."""
    with running_valkey(tmp_path, "--maxmemory", "1mb") as url:
        result = status(url)
    assert result.exit_code == 1
    assert result.stderr.startswith("Redis is full and takes no writes")
    assert "no worker is running: start" not in result.stderr
    assert "unknown    which processes run: they can't report" in result.stdout


def test_json_holds_all_of_it(client: "redis.Redis", redis_url: str) -> None:
    fill(client)
    found = json.loads(status(redis_url, "--json").stdout)
    assert (found["open"], found["due"], found["buried"], found["done"]) == (1, 1, 1, 1)
    assert [one["batch"] for one in found["leased"]] == ["batches/leased"]
    assert found["last_buried"] == [
        {"batch": "batches/buried", "age_s": 0, "attempts": 0, "cause": "no such file"}
    ]
    assert [(one["project"], one["began_s"]) for one in found["projects"]] == [("", None)]
    assert len(found["needs"]) == 3


def test_worker_is_seen_at_its_batch(client: "redis.Redis", redis_url: str, tmp_path: Path) -> None:
    """Gemini takes its time, so the worker keeps the batch."""
    released = threading.Event()

    def answer(_path: str, _headers: Message) -> Answer:
        released.wait(30)
        return Answer(500, b"{}")

    Inbox(client).accept([Arrival("batches/abc", "batch.succeeded", "static")])
    with answering(answer) as gemini_url:
        settings = {
            "GEMINI_API_KEY": "k",
            "GEMINI_BASE_URL": gemini_url,
            "REDIS_URL": redis_url,
            "STORAGE_URL": tmp_path.as_uri(),
            "RECONCILE_INTERVAL_S": "0",
        }
        with running_program(tmp_path, settings, "worker"):
            eventually(
                lambda: "unknown worker" not in status(redis_url).stdout and leased(redis_url),
                20,
                "the lease",
            )
            found = json.loads(status(redis_url, "--json").stdout)
            released.set()
    (worker,) = found["workers"]
    assert (worker["state"], worker["batch"], found["needs"]) == ("busy", "batches/abc", [NO_WEB])
    assert found["leased"] == [
        {"batch": "batches/abc", "for_s": found["leased"][0]["for_s"], "worker": worker["name"]}
    ]


def leased(redis_url: str) -> bool:
    return bool(json.loads(status(redis_url, "--json").stdout)["leased"])


def test_unfit_redis_needs_attention(tmp_path: Path) -> None:
    with running_valkey(tmp_path, "--maxmemory-policy", "allkeys-lru") as url:
        result = status(url)
    assert (result.exit_code, "set `maxmemory-policy noeviction`" in result.stderr) == (1, True)


def test_absent_redis_is_reported() -> None:
    result = status("redis://127.0.0.1:9/0")
    assert (result.exit_code, "Error: Redis did not answer" in result.stderr) == (1, True)


def wait_for(
    client: "redis.Redis", name: str, cause: str, counter: Counter, *, minutes: int
) -> None:
    """A batch that met a fault of others so long ago, and waits."""
    inbox = Inbox(client)
    inbox.accept([Arrival(name, "batch.succeeded", "static")])
    lease = inbox.claim(name)
    assert lease is not None
    inbox.postpone(lease, 60, cause, counter)
    client.hincrby(ENTRY + name, f"{counter}_since", -minutes * 60_000)


def test_outage_is_one_line_and_needs_no_attention_at_first(
    client: "redis.Redis", redis_url: str
) -> None:
    for number in range(3):
        wait_for(
            client,
            f"batches/{number}",
            f"no answer from Gemini for batches/{number}",
            "outages",
            minutes=10 + number,
        )
    result = status(redis_url)
    waiting = [line for line in result.stdout.splitlines() if line.startswith("waiting")]
    cause = "no answer from Gemini for batches/2"
    assert waiting == [f"waiting    3 batches wait for Gemini or the storage, for 12m now: {cause}"]
    assert "batches wait" not in result.stderr


def test_outage_that_lasts_is_reported_once(client: "redis.Redis") -> None:
    for number in range(3):
        wait_for(
            client,
            f"batches/{number}",
            "the storage did not write x: No space left",
            "outages",
            minutes=150,
        )
    wait_for(client, "batches/foreign", "Gemini knows no batches/foreign", "refusals", minutes=61)
    needs = take_overview(client, []).needs
    away, refused = (
        need.partition("; nothing is lost")[0] for need in needs if "nothing is lost" in need
    )
    assert away == (
        "3 batches wait for Gemini or the storage, for 2h 30m now:"
        " the storage did not write x: No space left"
    )
    assert refused == (
        "1 batch waits since Gemini refuses it, for 1h 1m now: Gemini knows no batches/foreign"
    )
