"""What the running system leaves in Redis, and how many connections it opens."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from deploy.sandbox.processes import allocate_port
from receiver.inbox.job_queue import QUEUE
from receiver.inbox.ledger import Arrival, Inbox
from receiver.notices.outbox import read_outbox_status
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of, run
from tests.lasting_keys import OURS, RQ, lasting_keys
from tests.pages import DOCS
from tests.receiver.forging import SECRET_TEXT
from tests.running import answers, ready_batch, running_program, set_faults, submit_inline
from tests.tls_proxy import make_certificates, running_tls_proxy
from tests.waiting import eventually

WEB, IDLE_WORKER = 6, 5  # connections at most; small plans allow 20 in all


@pytest.fixture
def client(world: World) -> "Iterator[redis.Redis]":
    with redis.Redis.from_url(world.redis_url) as client:
        yield client


def told_nowhere() -> dict[str, str]:
    """Settings of notices that nobody takes."""
    url = f"http://127.0.0.1:{allocate_port()}/notices"
    return {
        "NOTIFY_URL": url,
        "NOTIFY_SECRET": SECRET_TEXT,
        "SLACK_WEBHOOK_URL": url,
        "NOTIFY_PRIVATE": "true",
    }


def test_every_key_expires_or_is_on_the_list(world: World, client: "redis.Redis") -> None:
    """Batches stored, waited for, buried and missed; deliveries accepted and refused; notices; a foreign job."""
    settings = (
        world.settings | told_nowhere() | {"RECONCILE_INTERVAL_S": "2", "OUTAGE_PATIENCE_S": "7"}
    )
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        stack.enter_context(running_program(world.folder, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        stored = [
            submit_inline(world.gemini_url, {"one": "Hello"}, "job [late-output 1]")
            for _ in range(3)
        ]
        client.rpush(f"rq:queue:{QUEUE}", "foreign")
        client.hset("rq:job:foreign", mapping={"data": "junk", "created_at": "now"})
        client.expire("rq:job:foreign", 60)
        Inbox(client).accept([Arrival("batches/nosuchbatch", "batch.succeeded", "replay")])
        httpx.post(f"{world.web_url}/webhooks/gemini", json={}, headers={"webhook-id": "forged"})
        set_faults(world.gemini_url, drop_deliveries=1)
        stored.append(ready_batch(world.gemini_url, state="EXPIRED"))
        for name in stored:
            manifest_of(world, name)
        eventually(lambda: client.zscore("gbr:buried", "batches/nosuchbatch"), 60, "the burial")
        eventually(lambda: client.exists("gbr:refusals"))
        eventually(
            lambda: read_outbox_status(client).waiting == 2 * (len(stored) + 1), 20, "the notices"
        )
        eventually(lambda: client.zcard("gbr:done") == len(stored), 20)
        eventually(
            lambda: lasting_keys(client) <= OURS | RQ,
            20,
            f"an expiry of all but {sorted(OURS | RQ)}",
        )
        assert {
            "gbr:fence",
            "gbr:deliveries",
            "gbr:refusals",
            "gbr:metrics",
            "gbr:reconcile",
        } <= lasting_keys(client)


def test_lists_of_keys_are_written() -> None:
    sentence = re.search(r"Redis does not grow: (.*?)\n\* ", DOCS, re.DOTALL)
    assert sentence is not None
    assert set(re.findall(r"`(gbr:\w+)`", sentence[1])) == OURS


def connections(client: "redis.Redis") -> int:
    """Of others than this test."""
    own = client.client_id()
    return sum(int(one["id"]) != own for one in client.client_list())


def test_connections_stay_few(world: World, client: "redis.Redis") -> None:
    settings = world.settings | told_nowhere() | {"RECONCILE_INTERVAL_S": "1"}
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        for _ in range(10):
            ready_batch(world.gemini_url, state="EXPIRED")
        with httpx.Client() as http:
            peak = max(
                connections(client) for _ in range(200) if http.get(f"{world.web_url}/ready")
            )
        assert 1 <= peak <= WEB
        before = connections(client)
        stack.enter_context(
            running_program(world.folder, settings | {"RECONCILE_INTERVAL_S": "0"}, "worker")
        )
        eventually(lambda: client.zcard("gbr:done") == 10, 30)
        eventually(lambda: connections(client) - before <= IDLE_WORKER, 20, "the idle worker")
        assert client.smembers("rq:workers")


@pytest.mark.parametrize("checked", [True, False])
def test_all_processes_speak_tls(world: World, *, checked: bool) -> None:
    certificates = make_certificates(world.folder)
    with running_tls_proxy(urlsplit(world.redis_url).port or 0, certificates.server_file) as port:
        tls = (
            {"REDIS_CA_FILE": str(certificates.ca_file)}
            if checked
            else {"REDIS_TLS_VERIFY": "false"}
        )
        settings = (
            world.settings
            | {"REDIS_URL": f"rediss://127.0.0.1:{port}/0", "RECONCILE_INTERVAL_S": "2"}
            | tls
        )
        with ExitStack() as stack:
            stack.enter_context(running_program(world.folder, settings, "serve"))
            stack.enter_context(running_program(world.folder, settings, "worker"))
            eventually(lambda: answers(f"{world.web_url}/ready"), 20)
            manifest_of(world, ready_batch(world.gemini_url, state="EXPIRED"))
            doctor = run(settings, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert ("its certificate is not checked" in doctor.stdout) is not checked
