"""Counters in a real Valkey, from many threads, while it is away, and beside foreign fields."""

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from receiver.errors import LeaseLostError
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import MAX_ATTEMPTS, Arrival, Inbox, Lease
from receiver.inbox.redis import METRICS, connect
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import Message
from receiver.notices.queue import NoticeQueue
from receiver.telemetry.metrics import definitions
from receiver.telemetry.metrics.counters import Counters
from receiver.telemetry.metrics.exposition import expose
from receiver.telemetry.metrics.gauges import read_fields
from tests.waiting import eventually

ACCEPTED = ("default", "v1", "accepted")


def kept(client: "redis.Redis") -> dict[str, float]:
    found: dict[Any, Any] = client.hgetall(METRICS)
    return {name.decode(): float(count) for name, count in found.items()}


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """The interpreter lets another thread in wherever it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_threads_lose_no_count(client: "redis.Redis") -> None:
    counters = Counters(client)
    is_over = threading.Event()

    def flush() -> None:
        while not is_over.is_set():
            counters.flush()

    def work(_number: int) -> None:
        for _ in range(10_000):
            counters.add(definitions.DELIVERIES, *ACCEPTED)

    with ThreadPoolExecutor(4) as pool:
        flushing = pool.submit(flush)
        list(pool.map(work, range(3)))
        is_over.set()
        flushing.result()
    counters.flush()
    assert kept(client) == {"gbr_deliveries_total:default:v1:accepted": 30_000}


def test_background_writes_within_seconds(client: "redis.Redis") -> None:
    counters = Counters(client)
    counters.start()
    counters.add(definitions.STORED_BYTES, amount=5_000_000_000)
    eventually(lambda: kept(client) == {"gbr_stored_bytes_total": 5_000_000_000}, 5)
    counters.add(definitions.STORED_BYTES)
    counters.stop()
    assert kept(client) == {"gbr_stored_bytes_total": 5_000_000_001}


def test_histogram_counts_up_to_each_bound(client: "redis.Redis") -> None:
    counters = Counters(client)
    for seconds in (0.0625, 0.25, 0.3125, 9999.0):
        counters.observe(definitions.STAGES, seconds, "ask")
    counters.flush()
    text = expose(kept(client)).decode()
    at = 'gbr_stage_duration_seconds_bucket{le="%s",stage="ask"} %s\n'
    for bound, count in (("0.1", 1.0), ("0.25", 2.0), ("0.5", 3.0), ("3600.0", 3.0), ("+Inf", 4.0)):
        assert at % (bound, count) in text
    assert 'gbr_stage_duration_seconds_sum{stage="ask"} 9999.625\n' in text
    assert 'gbr_stage_duration_seconds_count{stage="ask"} 4.0\n' in text


def test_counts_wait_for_redis_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = allocate_port()
    with connect(f"redis://127.0.0.1:{port}/0") as client, caplog.at_level(logging.INFO):
        counters = Counters(client)
        for _ in range(3):
            counters.add(definitions.MISSING)
            assert not counters.flush()
        valkey = start_valkey(tmp_path, port)
        try:
            assert counters.flush()
            assert kept(client) == {"gbr_missing_results_total": 3}
        finally:
            stop(valkey)
    assert [record.message for record in caplog.records] == ["counters.kept"]


def test_write_whose_answer_was_lost_counts_once(tmp_path: Path) -> None:
    port = allocate_port()
    valkey = start_valkey(tmp_path, port)
    try:
        with connect(f"redis://127.0.0.1:{port}/0", timeout_s=0.3) as client:
            counters = Counters(client)
            counters.add(definitions.MISSING)
            assert counters.flush()
            os.kill(valkey.pid, signal.SIGSTOP)
            for _ in range(3):
                counters.add(definitions.MISSING)
                assert not counters.flush()
            os.kill(valkey.pid, signal.SIGCONT)
            eventually(counters.flush)
            assert kept(client) == {"gbr_missing_results_total": 4}
    finally:
        stop(valkey)


def take(inbox: Inbox, batch: str) -> Lease:
    inbox.accept([Arrival(batch, "batch.succeeded", "replay", reopen="all")])
    lease = inbox.claim(batch)
    assert lease is not None
    return lease


def end_attempts(inbox: Inbox) -> None:
    """Every way in which an attempt can end, once each but for two."""
    inbox.finish(take(inbox, "batches/stored"), Summary())
    inbox.postpone(take(inbox, "batches/waits"), 60, "not yet", "waits")
    inbox.postpone(take(inbox, "batches/fails"), 60, "broken", "attempts")
    inbox.postpone(take(inbox, "batches/away"), 60, "503", "outages")
    inbox.postpone(take(inbox, "batches/unknown"), 60, "404", "refusals")
    inbox.expire(take(inbox, "batches/old"), Summary(expired="404"), "404")
    inbox.keep(take(inbox, "batches/again"), Summary(), "404")
    inbox.release(take(inbox, "batches/back"), "shut down")
    inbox.bury(take(inbox, "batches/lost"), "no such file")
    for _ in range(MAX_ATTEMPTS - 1):
        inbox.postpone(take(inbox, "batches/often"), 0, "broken", "attempts")
    inbox.postpone(take(inbox, "batches/often"), 0, "broken", "attempts")
    inbox.accept([Arrival("batches/dies", "batch.succeeded", "replay")])
    dead = inbox.claim("batches/dies", lease_s=0)
    assert dead is not None
    heir = eventually(lambda: inbox.claim("batches/dies"))
    assert heir is not None
    inbox.finish(heir, Summary())
    with pytest.raises(LeaseLostError):
        inbox.release(dead, "too late")


def test_inbox_counts_every_end_once(client: "redis.Redis") -> None:
    end_attempts(Inbox(client))
    ends = {
        "stored": 2,
        "not_ready": 1,
        "postponed": MAX_ATTEMPTS,
        "handed_back": 1,
        "buried": 2,
        "lease_lost": 1,
    }
    ends |= {"outage": 1, "refused": 1, "expired": 1, "kept": 1}
    assert kept(client) == {
        f"gbr_attempts_total:{result}": count for result, count in ends.items()
    } | {"gbr_buried_batches_total": 2}
    assert set(ends) == set(definitions.ATTEMPTS.values)


@pytest.mark.parametrize("spoilt", ["text", "field"])
def test_spoilt_counters_stop_nothing(client: "redis.Redis", spoilt: str) -> None:
    if spoilt == "text":
        client.set(METRICS, "junk")
    else:
        client.hset(
            METRICS,
            mapping={
                "gbr_attempts_total:stored": "junk",
                "gbr_buried_batches_total": "nan",
                "x": 1,
            },
        )
    end_attempts(Inbox(client))
    counters = Counters(client)
    counters.add(definitions.MISSING)
    assert counters.flush()
    if spoilt == "field":
        assert client.hget(METRICS, "gbr_missing_results_total") == b"1"


def test_outbox_is_shown(client: "redis.Redis") -> None:
    target, notice = "0123456789ab", Message("results.stored", {})
    outbox, queue = Outbox(client, [target]), NoticeQueue(client, target)
    for number in range(3):
        outbox.enqueue(f"batches/{number}", notice)
    gone, taken = queue.claim(), queue.claim()
    assert gone is not None
    assert taken is not None
    queue.mark_dead(gone, "gone")
    queue.mark_delivered(taken)
    client.zadd(
        f"gbr:notices:{target}", {name: 1 for name, due_ms in outbox.names().items() if due_ms}
    )
    text = expose(read_fields(client, [])).decode()
    assert 'gbr_outbox_notices{state="waiting"} 1.0\n' in text
    assert 'gbr_outbox_notices{state="dead"} 1.0\n' in text
    assert 'gbr_notices_total{result="dead",type="results.stored"} 1.0\n' in text
    assert 'gbr_notices_total{result="delivered",type="results.stored"} 1.0\n' in text
    late = re.search(r"^gbr_outbox_oldest_due_age_seconds (\S+)$", text, re.MULTILINE)
    assert late is not None
    assert float(late[1]) > 1e9


def test_batches_buried_by_an_older_version_are_counted_too(client: "redis.Redis") -> None:
    client.hset(METRICS, "gbr_dead_letters_total", 3)
    assert "gbr_buried_batches_total 3.0\n" in expose(read_fields(client, [])).decode()
    client.hset(METRICS, "gbr_buried_batches_total", 2)
    assert "gbr_buried_batches_total 5.0\n" in expose(read_fields(client, [])).decode()


def test_foreign_fields_are_not_shown(client: "redis.Redis") -> None:
    foreign: dict[bytes | str, int | str] = {
        "gbr_attempts_total:stored": "junk",
        "gbr_results_total:ok:more": 5,
        "gbr_other_total": 5,
        b"\xff:\xff": 1,
    }
    for name, count in foreign.items():
        client.hset(METRICS, name, count)
    text = expose(read_fields(client, [])).decode()
    assert 'gbr_attempts_total{result="stored"} 0.0\n' in text
    assert 'gbr_results_total{outcome="ok"} 0.0\n' in text
    assert " 5.0\n" not in text
    assert "gbr_other_total" not in text
