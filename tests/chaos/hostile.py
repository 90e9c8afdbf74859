"""What others leave in Redis, and a worker whose machine vanishes."""

import json
import os
import pickle
import signal
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis

from receiver.inbox.job_queue import FUNCTION, QUEUE
from tests.chaos.batches import add_batches, wait_for_stored
from tests.chaos.checker import Watcher, judge
from tests.chaos.report import Options, Report
from tests.chaos.system import System, running_system
from tests.waiting import eventually

LIST = f"rq:queue:{QUEUE}"
FAILED = f"rq:failed:{QUEUE}"
WITHIN_S = 10.0
Fields = dict[
    str | bytes | bytearray | memoryview | int | float,
    bytes | str | bytearray | memoryview | int | float,
]


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port that writes down who calls."""
    calls: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                calls.append(connection.recv(100))
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], calls
        server.shutdown(socket.SHUT_RDWR)


class _Planted:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self._path}",)


def call(function: str, *args: object) -> bytes:
    return json.dumps([function, None, list(args), {}]).encode()


def foreign_jobs(trap: Path, port: int) -> dict[str, Fields]:
    """Hashes of jobs that nobody of us wrote; each touches the trap or calls the port if it has its way."""
    shell = call("os.system", f"touch {trap}")
    ours = call(FUNCTION, "batches/nobody")
    hook = {"url": f"http://127.0.0.1:{port}/", "method": "GET", "timeout": 2, "headers": None}
    return {
        "os-system": {"data": zlib.compress(shell)},
        "plain": {"data": shell},
        "pickled": {"data": zlib.compress(pickle.dumps(_Planted(trap)))},
        "instance": {"data": json.dumps([FUNCTION, {"a": 1}, ["batches/nobody"], {}])},
        "arguments": {"data": call(FUNCTION, f"$(touch {trap})")},
        "success-callback": {"data": ours, "success_callback_name": "os.system"},
        "failure-callback": {"data": call(FUNCTION, 7), "failure_callback_name": "os.abort"},
        "stopped-callback": {"data": ours, "stopped_callback_name": "os.abort"},
        "webhooks": {
            "data": ours,
            "webhooks": json.dumps(
                [hook | {"job_status": status} for status in ("finished", "failed")]
            ),
        },
        "retries": {"data": ours, "retries_left": "100", "retry_intervals": "[0]"},
        "repeats": {"data": ours, "repeats_left": "100", "repeat_intervals": "[0]"},
        "depends": {"data": ours, "dependency_ids": '["x"]'},
        "bomb": {"data": zlib.compress(b"[" * 100_000_000, 9)},
        "deep": {"data": b"[" * 4000},
        "dates": {"data": ours, "created_at": "never", "status": "nonsense", "timeout": "x"},
        "empty": {"data": b""},
    }


def plant(client: "redis.Redis", jobs: Mapping[str, Fields]) -> None:
    for name, fields in jobs.items():
        client.hset(f"rq:job:{name}", mapping=fields)
        client.hset(f"rq:job:{name}", "origin", QUEUE)
        client.rpush(LIST, name)
    client.set("rq:job:wrong-type", "x")
    for odd in (b"\xff\xfe", b"wrong-type", b"a:b:c", b"gone", b""):
        client.rpush(LIST, odd)


def foreign(options: Options) -> Report:
    """Planted jobs, a left-over lock and stuck entries; a batch behind them is done at once."""
    report = Report("foreign jobs", options.seed)
    trap = options.folder / "trap"
    with (
        running_system(options.folder, options.seed) as system,
        Watcher(system.outputs) as watcher,
        listener() as (port, calls),
        redis.Redis.from_url(system.redis_url) as client,
    ):
        for lock in (
            f"rq:clean_registries:{QUEUE}",
            "rq:groups:maintenance_lock",
            "rq:maintenance-lock",
        ):
            client.set(lock, 1, ex=899)
        jobs = foreign_jobs(trap, port)
        plant(client, jobs)
        client.rpush(f"{LIST}:intermediate", b"stuck", b"\xff")
        client.zadd(f"rq:wip:{QUEUE}", {"abandoned:1": 1, "no colon": 1})
        client.set("rq:suspended", 1)
        worker = system.start_worker()
        begun = time.monotonic()
        names = add_batches(system, range(10))
        wait_for_stored(system, names, 60)
        seconds = time.monotonic() - begun
        report.hold("the same worker lives on", worker.poll() is None)
        refused = {line["job"] for line in system.log_of() if line.get("event") == "job.refused"}
        buried = {name.decode() for name in client.zrange(FAILED, 0, -1)}
        report.note(
            planted=len(jobs) + 5, refused=len(refused), behind_them_done_in=f"{seconds:.1f} s"
        )
        report.note(ran=int(trap.exists()), called=len(calls))
        expected = set(jobs)
        report.hold(
            f"each is refused and logged: {sorted(expected - refused)}", expected <= refused
        )
        report.hold(f"each is buried: {sorted(expected - buried)}", expected <= buried)
        lives = {name: client.ttl(f"rq:job:{name}") for name in expected & buried}
        report.hold(f"buried ones have a TTL: {lives}", all(ttl > 0 for ttl in lives.values()))
        report.hold("nothing planted ran", not trap.exists() and not calls)
        report.hold_time(f"done within {WITHIN_S:.0f} s", seconds <= WITHIN_S)
        report.judge(judge(system, watcher))
    return report


def ip(*args: str) -> bool:
    return subprocess.run(["ip", *args], capture_output=True, check=False).returncode == 0


@contextmanager
def network(name: str) -> Iterator[str | None]:
    """A network namespace behind a virtual cable; gives our end's address, or None where that is not allowed."""
    number = os.getpid() % 250
    host, inside = f"10.213.{number}.1", f"10.213.{number}.2"
    try:
        if os.geteuid() or not ip("netns", "add", name):
            yield None
            return
        made = ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}n")
        made = made and ip("link", "set", f"{name}n", "netns", name)
        made = (
            made
            and ip("addr", "add", f"{host}/24", "dev", f"{name}h")
            and ip("link", "set", f"{name}h", "up")
        )
        made = made and ip("-n", name, "addr", "add", f"{inside}/24", "dev", f"{name}n")
        made = made and ip("-n", name, "link", "set", f"{name}n", "up")
        yield host if made else None
    finally:
        ip("link", "del", f"{name}h")
        ip("netns", "del", name)


def vanished(options: Options) -> Report:
    """A worker's machine disappears while it waits for a job: by its cable, or paused where that is forbidden."""
    report = Report("machine vanished", options.seed)
    name, why = f"gbr{os.getpid() % 10**6}", "a worker of another machine comes by another address"
    with (
        network(name) as address,
        running_system(options.folder, options.seed, unrecorded=why) as system,
        Watcher(system.outputs) as watcher,
    ):
        if address:
            with redis.Redis.from_url(system.redis_url) as client:
                client.config_set("protected-mode", "no")
                client.config_set("bind", f"127.0.0.1 {address}")
            there = {"REDIS_URL": f"redis://{address}:{system.redis_port}/0"}
            argv = ["ip", "netns", "exec", name, *system.worker_argv]
            lonely = system.start_program("worker", argv, there)
        else:
            lonely = system.start_worker()
            system.workers = []
        wait_until_listening(system)
        if address:
            ip("link", "set", f"{name}h", "down")
        else:
            os.killpg(lonely.pid, signal.SIGSTOP)
        names = add_batches(system, [0])  # may go to the one that is gone
        begun = time.monotonic()
        system.start_worker()
        wait_for_stored(system, names, 60)
        first_s = time.monotonic() - begun
        begun = time.monotonic()
        names += add_batches(system, range(1, 5))
        wait_for_stored(system, names, 60)
        report.note(
            by="its cable" if address else "a pause",
            first=f"{first_s:.1f} s",
            next=f"{time.monotonic() - begun:.1f} s",
        )
        report.hold_time(
            "the next event is done within 30 s", max(first_s, time.monotonic() - begun) <= 30
        )
        os.killpg(lonely.pid, signal.SIGKILL)
        lonely.wait()
        report.judge(judge(system, watcher))
    return report


def wait_until_listening(system: System) -> None:
    """Until a worker blocks in its dequeue."""
    with redis.Redis.from_url(system.redis_url) as client:
        eventually(
            lambda: any(one["cmd"] == "blmove" for one in client.client_list()),
            30,
            "a worker's dequeue",
        )
