"""The command `serve` as a process: how it ends, and several processes behind one port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.sandbox.processes import allocate_port, start, stop
from deploy.sandbox.valkey import start_valkey
from receiver.inbox.redis import connect
from receiver.recovery.web_presence import read_web_processes
from tests.receiver import forging
from tests.running import answers
from tests.waiting import eventually

TOKEN = "a-token-of-the-metrics"


@dataclass(frozen=True)
class Serving:
    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


@contextmanager
def serving(folder: Path, redis_url: str, *args: str, **variables: str) -> Iterator[Serving]:
    """`serve` for the length of a `with`, once it answers."""
    port = allocate_port()
    settings = {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": f"http://127.0.0.1:{allocate_port()}",
        "GEMINI_WEBHOOK_SECRET": forging.SECRET_TEXT,
        "REDIS_URL": redis_url,
        "STORAGE_URL": (folder / "outputs").as_uri(),
        "RECONCILE_INTERVAL_S": "0",
    }
    argv = [sys.executable, "-m", "workers", "serve", "--port", str(port), *args]
    with (folder / "serve.log").open("ab") as log:
        process = start(argv, env={**os.environ, **settings, **variables}, stdout=log)
    served = Serving(process, f"http://127.0.0.1:{port}", folder / "serve.log")
    try:
        eventually(lambda: answers(f"{served.url}/health"), 30, "the start of serve")
        yield served
    finally:
        stop(process)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_last_line_of_a_stopped_process_is_written(
    redis_url: str, tmp_path: Path, sent: signal.Signals
) -> None:
    with serving(tmp_path, redis_url) as served:
        served.process.send_signal(sent)
        served.process.wait(10)
    assert len(served.logged("server.stopped")) == 1


def children_of(served: Serving) -> set[int]:
    path = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return {int(pid) for pid in path.read_text().split()}


def pids_that_listen(served: Serving) -> set[int]:
    return {line["pid"] for line in served.logged("server.listening")}


def wait_for_processes(served: Serving, count: int) -> set[int]:
    """The processes that have been listening, once they are so many."""
    eventually(lambda: len(pids_that_listen(served)) == count, what=f"{count} processes")
    return pids_that_listen(served)


def refuses_connections(served: Serving) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", urlsplit(served.url).port or 0)) != 0


def deliver(served: Serving, number: int) -> int:
    body = json.dumps({"type": "batch.succeeded", "data": {"id": f"batches/b{number}"}}).encode()
    moment, name = int(time.time()), f"msg_{number}"
    entry = forging.static_entry(forging.SECRET.key, forging.signed_bytes(body, moment, name))
    signed = forging.headers(entry, moment, name) | {"content-type": "application/json"}
    return httpx.post(f"{served.url}/webhooks/gemini", content=body, headers=signed).status_code


@pytest.mark.parametrize("given", [{"WEB_CONCURRENCY": "3"}, {}], ids=["variable", "option"])
def test_processes_share_the_port(redis_url: str, tmp_path: Path, given: dict[str, str]) -> None:
    args = [] if given else ["--workers", "3"]
    with serving(tmp_path, redis_url, *args, METRICS_TOKEN=TOKEN, **given) as served:
        pids = wait_for_processes(served, 3)
        assert pids == children_of(served)
        assert [deliver(served, number) for number in range(20)] == [202] * 20
        with connect(redis_url) as client:
            eventually(lambda: {one.pid for one in read_web_processes(client)} == pids)
        bearer = {"authorization": f"Bearer {TOKEN}"}
        line = 'gbr_deliveries_total{project="default",scheme="v1",verdict="accepted"} 20.0'
        eventually(
            lambda: line in httpx.get(f"{served.url}/metrics", headers=bearer).text,
            what="the deliveries of all processes in the metrics of one",
        )


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_all_processes(redis_url: str, tmp_path: Path, sent: signal.Signals) -> None:
    with serving(tmp_path, redis_url, "--workers", "2") as served:
        pids = wait_for_processes(served, 2)
        served.process.send_signal(sent)
        code = served.process.wait(6)
        assert code == (0 if sent == signal.SIGINT else -signal.SIGTERM)  # as one process ends
        assert len(served.logged("server.stopped")) == 2
        assert not served.logged("server.ended")
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_dead_process_is_replaced(redis_url: str, tmp_path: Path) -> None:
    with serving(tmp_path, redis_url, "--workers", "2") as served:
        first = wait_for_processes(served, 2)
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        (ended,) = eventually(lambda: served.logged("server.ended"))
        assert (ended["pid"], ended["level"]) == (victim, "warning")
        assert "SIGKILL" in ended["cause"]
        wait_for_processes(served, 3)
        assert children_of(served) == pids_that_listen(served) - {victim}


def test_processes_end_with_the_one_that_watches(redis_url: str, tmp_path: Path) -> None:
    with serving(tmp_path, redis_url, "--workers", "2") as served:
        wait_for_processes(served, 2)
        served.process.kill()
        eventually(lambda: refuses_connections(served), what="a free port")
        eventually(lambda: len(served.logged("server.stopped")) == 2)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_first_deliveries_after_a_restart_of_redis_are_taken(tmp_path: Path, workers: str) -> None:
    """Their connections are dead, and the script is gone."""
    port = allocate_port()
    valkey = start_valkey(tmp_path, port)
    try:
        with serving(tmp_path, f"redis://127.0.0.1:{port}/0", "--workers", workers) as served:
            with ThreadPoolExecutor(8) as pool:
                before = list(pool.map(lambda number: deliver(served, number), range(40)))
                stop(valkey)
                valkey = start_valkey(tmp_path, port)
                after = list(pool.map(lambda number: deliver(served, number), range(40, 80)))
            assert set(before) == set(after) == {202}
    finally:
        stop(valkey)
