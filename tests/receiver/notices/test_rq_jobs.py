"""Notices for other RQ workers: real ones, in a process of their own, with a module that we lack."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from deploy.sandbox.processes import allocate_port
from receiver.errors import NoticeError
from receiver.inbox.job_queue import open_queue
from receiver.notices.dispatcher import TargetDispatcher, send_due
from receiver.notices.outbox import Outbox
from receiver.notices.queue import ClaimedNotice, NoticeQueue
from receiver.notices.rq_jobs import count_workers, enqueue_job
from receiver.settings.notice_targets import Target, make_target
from receiver.settings.rq_functions import OWN_QUEUE
from tests.receiver.notices.conftest import BATCH, STORED, notice_settings

URL = "rq://mail/shop.tell"
SHOP = """
import json, pathlib, rq

def tell(notice):
    line = {"job": rq.get_current_job().id, "timeout": rq.get_current_job().timeout, "notice": notice}
    pathlib.Path(__file__).with_name("told").open("a").write(json.dumps(line) + "\\n")
"""


def make_rq(redis_url: str, url: str = URL) -> Target:
    return replace(make_target("rq", url), redis_url=redis_url)


@pytest.fixture
def target(redis_url: str) -> Target:
    return make_rq(redis_url)


@pytest.fixture
def notice(client: "redis.Redis", target: Target) -> ClaimedNotice:
    Outbox(client, [target.digest]).enqueue(BATCH, STORED)
    claimed = NoticeQueue(client, target.digest).claim()
    assert claimed is not None
    return claimed


def jobs_of(client: "redis.Redis", queue: str = "mail") -> list[Any]:
    return Queue(queue, connection=client, serializer=JSONSerializer).get_jobs()


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_worker_of_others_runs_the_function(
    client: "redis.Redis", redis_url: str, tmp_path: Path, serializer: str
) -> None:
    target = make_rq(redis_url, f"{URL}?timeout=77&serializer={serializer}")
    settings = notice_settings(target)
    Outbox(client, settings.digests).enqueue(BATCH, STORED)
    (waiting,) = Outbox(client).listing()
    assert send_due(settings, client) == {"delivered": 1}
    assert Outbox(client).listing() == []

    (tmp_path / "shop.py").write_text(SHOP)
    worker = [sys.executable, "-m", "rq.cli", "worker", "mail", "--burst", "--url", redis_url]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([*worker, "--serializer", serializer], env=environ, check=True, timeout=60)

    (told,) = map(json.loads, (tmp_path / "told").read_text().splitlines())
    message_id = waiting.name.partition("/")[2]
    assert (told["job"], told["timeout"]) == (f"{message_id}-{target.digest}", 77)
    moment = told["notice"].pop("timestamp")
    assert moment.endswith("Z")
    data = {"batch": BATCH, "project": None, "complete": True}
    assert told["notice"] == {"type": "results.stored", "data": data}


def test_repeated_try_enqueues_nothing_twice(
    client: "redis.Redis", target: Target, notice: ClaimedNotice
) -> None:
    """As after a sender that died between the job and the word of it."""
    job_id = f"{notice.message_id}-{target.digest}"
    assert enqueue_job(target, notice).said == f"enqueued as {job_id}"
    assert enqueue_job(target, notice).said == f"was enqueued before as {job_id}"
    assert [job.id for job in jobs_of(client)] == [job_id]


def test_two_functions_in_one_redis_have_a_job_each(
    client: "redis.Redis", redis_url: str, target: Target
) -> None:
    settings = notice_settings(target, make_rq(redis_url, "rq://mail/shop.count"))
    Outbox(client, settings.digests).enqueue(BATCH, STORED)
    assert send_due(settings, client) == {"delivered": 2}
    assert sorted(job.func_name for job in jobs_of(client)) == ["shop.count", "shop.tell"]


def test_our_workers_listen_elsewhere(
    client: "redis.Redis", target: Target, notice: ClaimedNotice
) -> None:
    enqueue_job(target, notice)
    assert open_queue(client).name == OWN_QUEUE
    assert open_queue(client).get_job_ids() == []


def test_absent_redis_of_others_is_waited_for(client: "redis.Redis", target: Target) -> None:
    away = replace(target, redis_url=f"redis://:hunter2@127.0.0.1:{allocate_port()}/0")
    settings = notice_settings(away)
    Outbox(client, settings.digests).enqueue(BATCH, STORED)
    assert TargetDispatcher(settings, away, client).send_next() == "failed"
    (waiting,) = Outbox(client).listing()
    assert (waiting.state, waiting.tries) == ("waiting", 1)
    assert waiting.cause.startswith("the Redis of rq://mail did not take the job: ")
    assert "hunter2" not in waiting.cause
    with pytest.raises(NoticeError, match="the Redis of rq://mail does not answer"):
        count_workers(away)


def test_key_of_another_kind_is_said(
    client: "redis.Redis", target: Target, notice: ClaimedNotice
) -> None:
    client.set("rq:queue:mail", "somebody else's")
    with pytest.raises(NoticeError, match=r"did not take the job: .*wrong kind"):
        enqueue_job(target, notice)
