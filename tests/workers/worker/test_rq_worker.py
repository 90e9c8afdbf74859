"""The worker as a process: what it runs, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import running_valkey, start_valkey
from receiver.inbox.entries import Entry
from receiver.inbox.job_queue import QUEUE, JobQueue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from tests.chaos.system import children_of, is_running
from tests.running import CLIENT, ready_batch, running_program, running_sandbox, set_faults
from tests.waiting import eventually

ROWS = 200


@dataclass
class Place:
    """A Valkey, the stand-in of Gemini, and what a worker needs to know of them."""

    folder: Path
    gemini_url: str
    port: int
    valkey: "subprocess.Popen[bytes]"

    @property
    def settings(self) -> dict[str, str]:
        return {
            "GEMINI_API_KEY": "right-key",
            "GEMINI_BASE_URL": self.gemini_url,
            "REDIS_URL": f"redis://127.0.0.1:{self.port}/0",
            "STORAGE_URL": (self.folder / "outputs").as_uri(),
            "RECONCILE_INTERVAL_S": "0",
        }

    @property
    def inbox(self) -> Inbox:
        return Inbox(connect(self.settings["REDIS_URL"]))

    def entry(self, name: str) -> Entry:
        return self.inbox.entries([name])[name]

    def enqueue(self, name: str) -> None:
        client = connect(self.settings["REDIS_URL"])
        Inbox(client).accept([Arrival(name, "batch.succeeded", "replay")])
        JobQueue(client).enqueue([name])

    def start_slow_job(self, worker: int) -> tuple[str, int]:
        """A batch whose download takes minutes. Returns its name and its child process."""
        source = self.folder / "results.jsonl"
        source.write_text(
            "".join(f'{{"key":"k{n}","response":{{"pad":"{"x" * 2000}"}}}}\n' for n in range(ROWS))
        )
        set_faults(self.gemini_url, drip_downloads={"bytes_per_s": 2000, "times": "all"})
        name = ready_batch(
            self.gemini_url, result_path=str(source), request_count=ROWS, notify=False
        )
        self.enqueue(name)
        eventually(
            lambda: list((self.folder / "outputs" / ".tmp").glob("gbr-*")),
            20,
            "the start of the job",
        )
        return name, children_of(worker)[0]

    def is_stored(self, name: str) -> bool:
        return (self.folder / "outputs" / name.removeprefix("batches/") / "_manifest.json").exists()


@pytest.fixture(scope="module")
def gemini_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as url:
        yield url


@pytest.fixture(scope="module", autouse=True)
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    """A worker whose child hangs, and the batch; it hangs beside all tests, to be ended before the last.

    KEY_PATTERN takes forever with a key, in C code during which no thread of the child runs.
    """
    folder, port = tmp_path_factory.mktemp("hanging"), allocate_port()
    source = folder / "results.jsonl"
    source.write_text(f'{{"key":"{"a" * 60}!","response":{{"candidates":[]}}}}\n')
    slow = {"KEY_PATTERN": "(?P<group>(a+)+)", "OUTPUT_TEMPLATE": "{batch}/{group}.jsonl"}
    once = {"RETRY_BASE_S": "600"}  # else it may hang for a second time when the last test comes
    with running_sandbox(folder) as url:
        place = Place(folder, url, port, start_valkey(folder, port))
        name = ready_batch(url, result_path=str(source), request_count=1, notify=False)
        place.enqueue(name)
        with running_program(folder, place.settings | slow | once, "worker"):
            yield place, name
        stop(place.valkey)


@pytest.fixture
def place(tmp_path: Path, gemini_url: str) -> Iterator[Place]:
    CLIENT.delete(f"{gemini_url}/sandbox/state").raise_for_status()
    port = allocate_port()
    place = Place(tmp_path, gemini_url, port, start_valkey(tmp_path, port))
    yield place
    stop(place.valkey)


def test_job_loads_no_module(place: Place) -> None:
    """It would cost every job anew: the worker loads all that a job needs before it forks."""
    source = place.folder / "results.jsonl"
    source.write_text('{"key":"k","response":{}}\n')
    name = ready_batch(place.gemini_url, result_path=str(source), request_count=1, notify=False)
    place.inbox.accept([Arrival(name, "batch.succeeded", "replay")])
    script = f"""
import os, sys, workers.worker.main
from receiver.inbox.redis import connect
from receiver.storage import open_storage
from workers.process import process_batch
from workers.worker.child_process import prepare_forks
connect(os.environ["REDIS_URL"]).ping()  # as at a worker's start
open_storage(os.environ["STORAGE_URL"])
prepare_forks()
loaded = set(sys.modules)
process_batch({name!r})
print(*sorted(set(sys.modules) - loaded))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **place.settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert place.is_stored(name)
    assert done.stdout.split() == []


@pytest.fixture
def worker(place: Place) -> Iterator[int]:
    """The process id of a worker that waits for a job."""
    with (
        running_program(place.folder, place.settings, "worker") as pid,
        connect(place.settings["REDIS_URL"]) as client,
    ):
        eventually(
            lambda: any(one["cmd"] == "blmove" for one in client.client_list()), 20, "a dequeue"
        )
        yield pid


def test_planted_call_is_buried(place: Place, worker: int) -> None:
    trap = place.folder / "trap"
    with redis.Redis.from_url(place.settings["REDIS_URL"]) as client:
        client.hset(
            "rq:job:evil",
            mapping={"data": f'["os.system", null, ["touch {trap}"], {{}}]', "status": "queued"},
        )
        client.rpush(f"rq:queue:{QUEUE}", "evil")
        eventually(lambda: client.zscore(f"rq:failed:{QUEUE}", "evil"), 10, "the burial")
        assert 0 < client.ttl("rq:job:evil") <= 86400
        eventually(lambda: client.llen(f"rq:queue:{QUEUE}:intermediate") == 0)
    assert "job.refused" in (place.folder / "worker.log").read_text()
    assert not trap.exists()
    assert is_running(worker)


def test_unreadable_ids_are_passed_over(place: Place, worker: int) -> None:
    name = ready_batch(place.gemini_url, state="EXPIRED", notify=False)
    with redis.Redis.from_url(place.settings["REDIS_URL"]) as client:
        client.set("rq:job:text", "no hash")
        client.rpush(f"rq:queue:{QUEUE}", b"\xff\xfe", "text", "a:b")
        place.enqueue(name)
    eventually(lambda: place.is_stored(name), 10, "the batch behind them")
    assert is_running(worker)


def test_too_few_connections_are_said_in_words(tmp_path: Path) -> None:
    with running_valkey(tmp_path, "--maxclients", "2") as url, connect(url) as client:
        client.ping()
        environ = {
            "GEMINI_API_KEY": "k",
            "REDIS_URL": url,
            "STORAGE_URL": (tmp_path / "out").as_uri(),
        }
        argv = [sys.executable, "-m", "workers", "worker"]
        env = os.environ | environ
        done = subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert "max number of clients reached" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_idle_worker_ends_when_told(place: Place, worker: int) -> None:
    os.kill(worker, signal.SIGTERM)
    eventually(lambda: not is_running(worker), 4)
    with redis.Redis.from_url(place.settings["REDIS_URL"]) as client:
        assert client.smembers("rq:workers") == set()


def test_second_signal_kills_at_once(place: Place, worker: int) -> None:
    name, child = place.start_slow_job(worker)
    os.kill(child, signal.SIGSTOP)  # it can't hand anything back
    os.kill(worker, signal.SIGTERM)
    begun = time.monotonic()
    while is_running(worker):
        assert time.monotonic() - begun < 5
        os.kill(worker, signal.SIGTERM)  # counts as the second one after a second
        time.sleep(0.05)
    assert time.monotonic() - begun >= 0.9
    eventually(lambda: not is_running(child), 2)
    set_faults(place.gemini_url, drip_downloads=None)
    with running_program(place.folder, place.settings, "worker"):
        eventually(lambda: place.is_stored(name), 20, "the batch of the killed worker")
    assert place.entry(name).attempts == 0


def test_stop_reaches_the_child_without_a_signal(place: Place, worker: int) -> None:
    """A job's thread in a long call runs no signal handler: the stop flag is in shared memory."""
    name, child = place.start_slow_job(worker)
    os.kill(worker, signal.SIGTERM)
    eventually(lambda: not is_running(worker), 8)
    assert not is_running(child)
    entry = place.entry(name)
    assert (entry.state, entry.attempts) == ("open", 0)


def test_killed_child_hands_its_batch_back(place: Place, worker: int) -> None:
    name, child = place.start_slow_job(worker)
    set_faults(place.gemini_url, drip_downloads=None)
    os.kill(child, signal.SIGKILL)
    eventually(lambda: place.entry(name).state == "open", 3, "the batch in the inbox")
    entry = place.entry(name)
    assert (entry.attempts, entry.cause) == (
        1,
        "the process of its job was killed by SIGKILL: out of memory?",
    )
    eventually(lambda: place.is_stored(name), 15, "the second attempt")


def test_child_dies_with_its_worker(place: Place, worker: int) -> None:
    _, child = place.start_slow_job(worker)
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: not is_running(child), 2)


def test_worker_outlives_a_restart_of_redis(place: Place, worker: int) -> None:
    stop(place.valkey)
    time.sleep(3)  # long enough for a dequeue, a beat and a sweep to fail
    place.valkey = start_valkey(place.folder, place.port)
    name = ready_batch(place.gemini_url, state="EXPIRED", notify=False)
    place.enqueue(name)
    eventually(lambda: place.is_stored(name), 10, "a batch after the restart")
    assert is_running(worker)


def test_slow_download_tells_how_far_it_is(place: Place, worker: int) -> None:
    name, _ = place.start_slow_job(worker)
    progress = eventually(lambda: place.entry(name).progress, 10, "the first renewal")
    assert progress is not None
    assert (progress.stage, progress.requests) == ("split", ROWS)
    assert progress.total_bytes is not None
    assert (
        0 < progress.bytes < progress.total_bytes == (place.folder / "results.jsonl").stat().st_size
    )


def test_hung_child_is_ended_and_says_why(hanging: tuple[Place, str]) -> None:
    place, name = hanging
    eventually(lambda: "hung" in place.entry(name).cause, 60, "the end of the child")
    assert place.entry(name).attempts == 1
    well = ready_batch(place.gemini_url, state="EXPIRED", notify=False)
    place.enqueue(well)
    eventually(lambda: place.is_stored(well), 20, "the batch behind it")
