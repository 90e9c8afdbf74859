"""What small batches cost everybody: memory of Redis, commands, connections, processor time, memory of ours."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.bench.rounds import Say
from tests.bench.tables import draw
from tests.chaos.batches import add_batches, is_stored
from tests.chaos.posts import post
from tests.chaos.soak import memory_kib
from tests.chaos.stop_ways import family
from tests.chaos.system import Process, System, running_system
from tests.waiting import eventually

IDLE_S = 20.0
POSTERS = 32
WARM_UP = 50
COUNTED = 50  # batches whose commands are counted
LOOK_S = 0.05
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
OURS = {"client|list", "info", "monitor", "echo"}  # what the bench itself sends


def cpu_ms(process: Process) -> float:
    """User and system time of a process and of its children that have ended."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * 1000 / TICKS_PER_S


@dataclass
class Bench:
    system: System
    client: "redis.Redis"
    web: Process
    connections: int = 0  # the most at once, since it was last set to 0
    largest_kib: int = 0  # resident memory of the largest process that was looked at

    def info(self, name: str) -> float:
        known: dict[str, Any] = self.client.info()
        return float(known[name])

    def redis_cpu_ms(self) -> float:
        return 1000 * (self.info("used_cpu_user") + self.info("used_cpu_sys"))

    def look(self, process: Process) -> None:
        listed: list[dict[str, str]] = self.client.client_list()
        self.connections = max(self.connections, sum(one["cmd"] not in OURS for one in listed))
        self.largest_kib = max([self.largest_kib, *map(memory_kib, family(process.pid))])

    def deliver(self, names: Sequence[str]) -> None:
        """Deliver them from POSTERS connections."""
        with ThreadPoolExecutor(POSTERS) as pool:
            sent: list[Future[Any]] = [
                pool.submit(post, self.system, name, f"msg_{name[8:]}") for name in names
            ]
            while not all(one.done() for one in sent):
                self.look(self.web)
                time.sleep(LOOK_S)
        assert {one.result().status for one in sent} <= {200, 202}

    def store(self, names: Sequence[str], worker: Process) -> None:
        """Wait until all are stored."""
        while not all(is_stored(self.system, name) for name in names):
            self.look(worker)
            time.sleep(LOOK_S)

    def count_commands(self, monitor: Any) -> int:
        """How many ours have sent since the last call; what runs inside of a script is no command of theirs."""
        token, count = os.urandom(8).hex(), 0
        self.client.echo(token)
        while token not in (said := monitor.next_command())["command"]:
            sent = said["command"].lower().replace(" ", "|")
            count += said["client_type"] != "lua" and not sent.startswith(tuple(OURS))
        return count

    def start_worker(self) -> tuple[Process, float]:
        """A worker, and the processor time that its start took."""
        worker = self.system.start_worker()
        eventually(lambda: self.client.scard("rq:workers"), 30, "the worker's start")
        return worker, cpu_ms(worker)

    def end(self, worker: Process) -> None:
        self.system.workers.remove(worker)
        worker.terminate()
        worker.wait(10)

    def begin(self) -> None:
        self.connections = self.largest_kib = 0


def measure(count: int, say: Say) -> Iterator[str]:
    """`count` batches are delivered, then stored by one worker; after them COUNTED ones for their commands."""
    with (
        tempfile.TemporaryDirectory(prefix="footprint-") as folder,
        running_system(Path(folder), 1) as system,
    ):
        assert system.web is not None
        with redis.Redis.from_url(system.redis_url) as client:
            bench = Bench(system, client, system.web)
            names = add_batches(system, range(WARM_UP), notify=False)
            bench.deliver(names)
            worker, _ = bench.start_worker()
            bench.store(names, worker)
            bench.end(worker)
            rows = [*_costs(bench, count, say), *_commands(bench, WARM_UP + count, say)]
    yield draw(("of a small batch", "web process", "worker", "Redis"), rows)


def _costs(bench: Bench, count: int, say: Say) -> Iterator[list[str]]:
    """Memory, connections, processor time."""
    names = add_batches(bench.system, range(WARM_UP, WARM_UP + count), notify=False)
    memory, redis_ms, web_ms = bench.info("used_memory"), bench.redis_cpu_ms(), cpu_ms(bench.web)
    say(f"{count} deliveries")
    bench.begin()
    bench.deliver(names)
    opened, web_ms = bench.info("used_memory") - memory, cpu_ms(bench.web) - web_ms
    web_connections, web_kib = bench.connections, bench.largest_kib
    say(f"{count} batches for one worker")
    bench.begin()
    bench.look(bench.web)
    idle_connections = bench.connections
    worker, started_ms = bench.start_worker()
    bench.store(names, worker)
    worker_ms = cpu_ms(worker) - started_ms
    bench.end(worker)
    done, redis_ms = bench.info("used_memory") - memory, bench.redis_cpu_ms() - redis_ms
    yield ["bytes while it is open", "", "", f"{opened / count:,.0f}"]
    yield ["bytes once it is done", "", "", f"{done / count:,.0f}"]
    yield [
        "processor time, ms",
        *(f"{spent / count:.2f}" for spent in (web_ms, worker_ms, redis_ms)),
    ]
    yield [
        "connections at once",
        str(web_connections),
        str(bench.connections - idle_connections),
        "",
    ]
    yield [
        "resident MiB, largest process",
        f"{web_kib / 1024:.0f}",
        f"{bench.largest_kib / 1024:.0f}",
        "",
    ]


def _commands(bench: Bench, first: int, say: Say) -> Iterator[list[str]]:
    """What is sent to Redis: by those who wait, and for a batch."""
    names = add_batches(bench.system, range(first, first + COUNTED), notify=False)
    with bench.client.monitor() as monitor:  # type: ignore[no-untyped-call] # redis-py's, without types
        say(f"{IDLE_S:.0f} s of a web process alone, then with a worker")
        web_per_s = _idle_per_s(bench, monitor)
        worker, _ = bench.start_worker()
        both_per_s = _idle_per_s(bench, monitor)
        say(f"{COUNTED} batches, one after the other")
        bench.count_commands(monitor)
        begun = time.monotonic()
        for name in names:
            bench.deliver([name])
            bench.store([name], worker)
        for_batches = bench.count_commands(monitor) - both_per_s * (time.monotonic() - begun)
        bench.end(worker)
    yield ["commands a second, idle", f"{web_per_s:.1f}", f"{both_per_s - web_per_s:.1f}", ""]
    yield ["commands a batch, of both", "", f"{for_batches / COUNTED:.0f}", ""]


def _idle_per_s(bench: Bench, monitor: Any) -> float:
    bench.count_commands(monitor)
    time.sleep(IDLE_S)
    return bench.count_commands(monitor) / IDLE_S
