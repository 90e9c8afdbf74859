"""One trace from a delivery to the stages of its job, with the standard auto-instrumentation and real processes."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from deploy.sandbox.delivery.signing import sign_v1
from deploy.sandbox.processes import allocate_port, start, stop
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of
from tests.collector import Collector, SeenSpan, running_collector
from tests.programs import find
from tests.running import CLIENT, answers, submit_file
from tests.waiting import eventually

FORGED = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {
    "traceparent": f"00-{FORGED}-b7ad6b7169203331-01",
    "tracestate": "a=b",
    "baggage": "evil=forged-baggage",
}
STAGES = {"batch.ask", "batch.split", "batch.store", "batch.manifest"}
LINE = b'{"key": "one", "request": {"contents": [{"parts": [{"text": "Hello"}]}]}}\n'


@contextmanager
def instrumented(folder: Path, settings: Mapping[str, str], name: str) -> Iterator[list[int]]:
    """Gives a list that has the exit code afterwards."""
    program = find("opentelemetry-instrument", "pip install -e '.[otel]'")
    codes = list[int]()
    with (folder / f"{name}.log").open("ab") as log:
        process = start(
            [program, sys.executable, "-m", "workers", name], env=os.environ | settings, stdout=log
        )
    try:
        yield codes
    finally:
        codes.append(stop(process))


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


def lines_of(folder: Path, name: str, event: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in (folder / f"{name}.log").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def post(world: World, settings: Mapping[str, str], delivery: str, *, proven: bool) -> int:
    """A delivery that says which trace it is of."""
    moment, now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), int(time.time())
    event = {
        "type": "batch.succeeded",
        "version": "v1",
        "timestamp": moment,
        "data": {"id": "batches/forged"},
    }
    body = json.dumps(event).encode()
    headers = HEADERS | {
        "content-type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": str(now),
        "webhook-signature": sign_v1([settings["GEMINI_WEBHOOK_SECRET"]], delivery, now, body)
        if proven
        else "v1,x",
    }
    return CLIENT.post(
        f"{world.web_url}/webhooks/gemini", content=body, headers=headers
    ).status_code


def jobs(collector: Collector) -> dict[str, SeenSpan]:
    return {span.attributes["gbr.batch"]: span for span in collector.named("batch.process")}


def check_trace(collector: Collector, batch: str) -> None:
    """From the delivery to the last stage, and the calls to Gemini on the way."""
    eventually(lambda: batch in jobs(collector), 20, "the job's span")
    job = jobs(collector)[batch]
    deliveries = eventually(
        lambda: [one for one in collector.spans if one.span_id == job.parent_id], 10, "its parent"
    )
    together = [span for span in collector.spans if span.trace_id == job.trace_id]
    (delivery,) = deliveries
    assert (delivery.name, delivery.service, delivery.parent_id) == (
        "POST /webhooks/gemini",
        "serve",
        "",
    )
    stages = {span.name: span for span in together if span.parent_id == job.span_id}
    assert set(stages) == STAGES
    about = {
        (span.attributes["gbr.batch"], span.attributes["gbr.attempt"])
        for span in (job, *stages.values())
    }
    assert about == {(batch, "1")}
    calls = [span for span in together if span.name == "GET"]
    assert {span.parent_id for span in calls} == {
        stages["batch.ask"].span_id,
        stages["batch.split"].span_id,
    }
    assert {span.service for span in (job, *stages.values(), *calls)} == {"worker"}


def check_fields(world: World, batch: str) -> None:
    """Every line of a job names its batch and attempt, every one of a delivery its webhook-id; libraries' lines too."""
    of_jobs, of_deliveries = ("batch.", "lease.", "download."), ("delivery.",)
    worker, serve = (
        [json.loads(line) for line in (world.folder / f"{name}.log").read_text().splitlines()]
        for name in ("worker", "serve")
    )
    jobs = [
        line
        for line in worker
        if line["event"].startswith(of_jobs) and line["event"] != "batch.not_claimed"
    ]
    assert [
        line for line in jobs if not line["batch"].startswith("batches/") or line["attempt"] < 1
    ] == []
    assert {line["event"] for line in worker if line.get("batch") == batch} >= {
        "batch.stored",
        "rq.logged",
    }
    deliveries = [line for line in serve if line["event"].startswith(of_deliveries)]
    assert len(deliveries) >= 3
    assert [line for line in deliveries if not line["webhook_id"]] == []


def test_trace_goes_from_delivery_to_manifest(world: World, collector: Collector) -> None:
    settings = world.settings | {"LOG_LEVEL": "DEBUG"}
    with ExitStack() as stack:
        for name in ("serve", "worker"):
            stack.enter_context(
                instrumented(world.folder, settings | collector.settings(name), name)
            )
        eventually(lambda: answers(f"{world.web_url}/ready"), 30)
        batch = submit_file(world.gemini_url, LINE)
        manifest_of(world, batch)
        check_trace(collector, batch)
        assert [post(world, settings, "msg_1", proven=proven) for proven in (False, True)] == [
            401,
            202,
        ]
        eventually(
            lambda: "batches/forged" in jobs(collector),
            20,
            "the span of a delivery that named a trace",
        )
        with connect(world.redis_url) as client:
            Inbox(client).accept(
                [Arrival("batches/replayed", "batch.failed", "replay", reopen="all")]
            )
            JobQueue(client).enqueue(["batches/replayed"])
        eventually(lambda: "batches/replayed" in jobs(collector), 20, "the span of a replay")
    assert jobs(collector)["batches/replayed"].parent_id == ""
    trace_id = jobs(collector)[batch].trace_id
    for name, event in (("serve", "delivery.recorded"), ("worker", "batch.stored")):
        assert trace_id in {line.get("trace_id") for line in lines_of(world.folder, name, event)}
    assert lines_of(world.folder, "worker", "worker.started")[0].get("trace_id") is None
    check_fields(world, batch)
    told = b"".join((world.folder / f"{name}.log").read_bytes() for name in ("serve", "worker"))
    with redis.Redis.from_url(world.redis_url) as client:
        stored = b"".join(client.dump(key) or b"" for key in client.scan_iter())
    for place in (collector.raw, told, stored):
        assert FORGED.encode() not in place
        assert bytes.fromhex(FORGED) not in place
        assert b"forged-baggage" not in place
        assert b"right-key" not in place


def test_collector_that_is_away_stops_nothing(world: World) -> None:
    nowhere = Collector(allocate_port())
    settings = world.settings
    with ExitStack() as stack:
        codes = [
            stack.enter_context(instrumented(world.folder, settings | nowhere.settings(name), name))
            for name in ("serve", "worker")
        ]
        eventually(lambda: answers(f"{world.web_url}/ready"), 30)
        manifest_of(world, submit_file(world.gemini_url, LINE))
    assert [code for (code,) in codes] == [-signal.SIGTERM, 0]  # and not SIGKILL
