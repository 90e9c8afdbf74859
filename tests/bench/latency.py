"""From a delivery to its download and output: when nothing else happens, and with a queue."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from deploy.sandbox.processes import allocate_port
from tests.bench.goals import verdict
from tests.bench.rounds import Say
from tests.bench.tables import draw
from tests.chaos.batches import add_batches, is_stored, wait_for_stored
from tests.chaos.posts import post
from tests.chaos.system import Process, System, running_system
from tests.fault_proxy import serving
from tests.running import ready_batch
from tests.waiting import eventually

GOAL_MS = 60.0
SAME = 1.1
POLL_S = 0.001
IDLE_S = 0.1  # after a manifest: the child process ends, and its worker waits again
ROW = b'{"key":"k","response":{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}}\n'


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@contextmanager
def noting_downloads(upstream: str) -> Iterator[tuple[str, list[float]]]:
    """A way to the stand-in that notes when each request for a result file comes by."""
    moments: list[float] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b":download" in head:
            moments.append(time.monotonic())
        from_server, to_server = await asyncio.open_connection("127.0.0.1", urlsplit(upstream).port)
        to_server.write(head)
        ways = [
            asyncio.create_task(_copy(reader, to_server)),
            asyncio.create_task(_copy(from_server, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        to_server.transport.abort()

    port = allocate_port()
    with serving(handle, port):
        yield f"http://127.0.0.1:{port}", moments


def output_ms(system: System, name: str, begun: float) -> float:
    """Milliseconds from `begun` until an output of a batch can be read."""
    folder = system.outputs / name.removeprefix("batches/")
    while not any(folder.glob("*.json")):
        if time.monotonic() - begun > 60:
            raise TimeoutError(f"{name} has no output after a minute")
        time.sleep(POLL_S)
    return (time.monotonic() - begun) * 1000


def idle_ms(system: System, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds from a delivery to the request for its result file, and to its first output."""
    rows = system.folder / "rows.jsonl"
    rows.write_bytes(ROW)
    requested, stored = [], []
    with noting_downloads(system.gemini_url) as (url, moments):
        worker = system.start_worker(GEMINI_BASE_URL=url)
        for number in range(count + 1):
            about = {"result_path": str(rows), "request_count": 1, "notify": False}
            name = ready_batch(system.gemini_url, **about)
            moments.clear()
            begun = time.monotonic()
            post(system, name, f"msg_{name[8:]}")
            until_output = output_ms(system, name, begun)
            if number:  # the first one waits for the worker's start
                requested.append((moments[0] - begun) * 1000)
                stored.append(until_output)
            wait_for_stored(system, [name], 60)
            time.sleep(IDLE_S)
        end(system, worker)
    return requested, stored


def end(system: System, worker: Process) -> None:
    worker.terminate()
    worker.wait(20)
    system.workers.remove(worker)


def drain_ms(system: System, names: list[str]) -> float:
    """Milliseconds a batch when so many wait for one worker that starts."""
    for name in names:
        post(system, name, f"msg_{name[8:]}")
    worker = system.start_worker()
    eventually(lambda: any(is_stored(system, name) for name in names), 60, "the first batch")
    begun = time.monotonic()
    wait_for_stored(system, names, 600)
    spent_ms = (time.monotonic() - begun) * 1000 / len(names)
    end(system, worker)
    return spent_ms


def measure(count: int, say: Say) -> Iterator[str]:
    """`count` deliveries one by one; then as many waiting batches, and ten times as many.

    Gives the table.
    """
    with (
        tempfile.TemporaryDirectory(prefix="latency-") as folder,
        running_system(Path(folder), 1) as system,
    ):
        say(f"{count} deliveries, one after the other")
        requested, stored = idle_ms(system, count)
        names = add_batches(system, range(11 * count), notify=False)
        rates = []
        for waiting in (count, 10 * count):
            say(f"{waiting} batches that wait for one worker")
            rates.append(drain_ms(system, [names.pop() for _ in range(waiting)]))
    rows = [
        *_idle_rows("download", requested),
        *_idle_rows("output", stored),
        [f"a batch of {count} that wait: ms", "", f"{rates[0]:.0f}", ""],
        [f"a batch of {10 * count} that wait: ms", "", f"{rates[1]:.0f}", ""],
        [
            "ratio of the last two",
            f"<= {SAME}",
            f"{rates[1] / rates[0]:.2f}",
            verdict(rates[1] / rates[0], SAME),
        ],
    ]
    yield draw(("", "goal", "measured", ""), rows)


def _idle_rows(what: str, found: list[float]) -> list[list[str]]:
    middle, late = median(found), quantiles(found, n=10)[-1]
    said = [f"<= {GOAL_MS:.0f}", f"{middle:.0f}", verdict(middle, GOAL_MS)]
    return [
        [f"delivery to {what}, idle: median ms", *said],
        ["the same: ninth decile ms", "", f"{late:.0f}", ""],
    ]
