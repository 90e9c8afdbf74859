"""From the end of a batch to a notice that `standardwebhooks` verifies, with every process real."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from deploy.sandbox.processes import allocate_port
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.notices.outbox import Outbox
from receiver.retry import NOTICE_DELAYS_S
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of, run
from tests.notice_receiver import (
    OK,
    Answer,
    ReceivedNotice,
    read_received,
    receiving,
    running_receiver,
)
from tests.receiver.forging import SECRET_TEXT
from tests.running import answers, ready_batch, running_program, submit_inline
from tests.waiting import eventually

BASE_S = 0.002
HOUR_S = 3600 * BASE_S / NOTICE_DELAYS_S[1]


@pytest.fixture
def client(world: World) -> "Iterator[redis.Redis]":
    with redis.Redis.from_url(world.redis_url) as client:
        yield client


def notice_settings(world: World, url: str, **more: str) -> dict[str, str]:
    return (
        world.settings
        | {"NOTIFY_URL": url, "NOTIFY_SECRET": SECRET_TEXT, "NOTIFY_PRIVATE": "true"}
        | more
    )


def knock(client: "redis.Redis", batch: str) -> None:
    """As a delivery would, without a web process."""
    Inbox(client).accept([Arrival(batch, "batch.succeeded", "replay")])
    JobQueue(client).enqueue([batch])


def test_every_end_is_told_and_verified(world: World, client: "redis.Redis") -> None:
    """Stored, incomplete, failed, expired and given up; then the receiver is dead for an hour of the schedule."""
    port, file = allocate_port(), world.folder / "heard"
    told = notice_settings(
        world,
        f"http://127.0.0.1:{port}/notices",
        NOTIFY_RETRY_BASE_S=str(BASE_S),
        OUTAGE_PATIENCE_S="7",
    )

    def received() -> dict[str, dict[str, Any]]:
        return {one["data"]["batch"]: one for one in read_received(file)}

    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, told, "serve"))
        stack.enter_context(running_program(world.folder, told, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        with running_receiver(port, file, SECRET_TEXT) as pid:
            stored = submit_inline(world.gemini_url, {"one": "Hello", "two": "Hello"}, "evening")
            expired = ready_batch(world.gemini_url, state="EXPIRED", request_count=3)
            knock(client, "batches/nosuchbatch")
            manifest = manifest_of(world, stored)
            eventually(lambda: len(received()) == 3, 60, "three notices")
            os.kill(pid, signal.SIGKILL)
        late = [ready_batch(world.gemini_url, state="FAILED", request_count=1) for _ in range(3)]
        for name in late:
            manifest_of(world, name)
        eventually(
            lambda: sum(one.tries >= 3 for one in Outbox(client).listing()) == len(late),
            30,
            "three tries of each",
        )
        time.sleep(HOUR_S)  # the rest of an hour, and more: nothing is there to be waited for
        with running_receiver(port, file, SECRET_TEXT):
            eventually(lambda: len(received()) == 6, 60, "the notices that were owed meanwhile")
            eventually(lambda: Outbox(client).listing() == [], 20, "an empty outbox")
    assert not [one for one in read_received(file) if "refused" in one]
    data = received()[stored]["data"]
    assert received()[stored]["type"] == "results.stored"
    assert (data["complete"], data["display_name"], data["outcomes"]) == (
        True,
        "evening",
        manifest["outcomes"],
    )
    assert (world.outputs / data["objects"]["manifest"]).is_file()
    assert (world.outputs / data["objects"]["index"]).is_file()
    assert (received()[expired]["type"], received()[expired]["data"]["state"]) == (
        "results.failed",
        "EXPIRED",
    )
    buried = received()["batches/nosuchbatch"]
    assert buried["type"] == "batch.buried"
    assert "knows no batches/nosuchbatch" in buried["data"]["cause"]
    assert {received()[name]["data"]["missing"] for name in late} == {1}


def test_batch_that_was_stored_before_is_told(world: World, client: "redis.Redis") -> None:
    """A worker may die between the manifest and the word of it; a worker alone sends what it owes."""
    batch = ready_batch(world.gemini_url, state="EXPIRED", request_count=3)
    knock(client, batch)
    assert run(world.settings, "worker", "--burst").returncode == 0
    assert Outbox(client).listing() == []
    client.flushall()
    with receiving() as receiver:
        knock(client, batch)
        with running_program(world.folder, notice_settings(world, receiver.url), "worker"):
            (received,) = eventually(lambda: receiver.received, 30, "the notice")
            eventually(lambda: Outbox(client).listing() == [], 20, "an empty outbox")
    received.verify(SECRET_TEXT)
    assert (received.payload["type"], received.payload["data"]["requests"]) == ("results.failed", 3)
    assert "batch.already_stored" in (world.folder / "worker.log").read_text()


def test_burst_sends_what_it_owes(world: World, client: "redis.Redis") -> None:
    """Also a job of somebody else's workers, which stays theirs."""
    others = {"NOTIFY_URL__MAIL": "rq://mail/shop.tell", "NOTIFY_URL__OPS": "rq://ops/shop.tell"}
    others |= {"NOTIFY_EVENTS__OPS": "results.stored, batch.*"}
    with receiving() as receiver:
        batch = ready_batch(world.gemini_url, state="CANCELLED", request_count=1)
        knock(client, batch)
        told = notice_settings(world, receiver.url, **others)
        assert run(told, "worker", "--burst").returncode == 0
        assert run(told, "worker", "--burst").returncode == 0
    assert [received.payload["data"]["batch"] for received in receiver.received] == [batch]
    (job,) = Queue("mail", connection=client, serializer=JSONSerializer).get_jobs()
    assert (job.func_name, job.args[0]["data"]["batch"]) == ("shop.tell", batch)
    assert Queue("ops", connection=client).get_job_ids() == []
    assert Outbox(client).listing() == []


def test_sigterm_lets_a_try_end(world: World, client: "redis.Redis") -> None:
    began, go_on = threading.Event(), threading.Event()

    def pause(_: ReceivedNotice) -> Answer:
        began.set()
        go_on.wait(20)
        return OK

    with receiving() as receiver:
        receiver.answer = pause
        told = notice_settings(world, receiver.url)
        with running_program(world.folder, told, "serve") as pid:
            eventually(lambda: answers(f"{world.web_url}/ready"), 20)
            batch = ready_batch(world.gemini_url, state="EXPIRED", request_count=1)
            knock(client, batch)
            assert run(world.settings, "worker", "--burst").returncode == 0
            assert run(told, "notices", "replay", batch).returncode == 0
            assert began.wait(20)
            os.kill(pid, signal.SIGTERM)
            threading.Timer(0.5, go_on.set).start()
            eventually(
                lambda: not answers(f"{world.web_url}/health"), 10, "the end of the web process"
            )
            eventually(lambda: Outbox(client).listing() == [], 10, "an empty outbox")
    assert len(receiver.received) == 1
