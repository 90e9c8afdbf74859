"""Slow clients against the real `serve` process, what others notice of them, and whether they hold up its end."""

import asyncio
import math
import resource
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.chaos.report import Report
from tests.fuzz.originals import make_original
from tests.fuzz.requests import exchange
from tests.fuzz.shapes import GET, length_of, post
from tests.fuzz.stage import Server, Stage, log_problems, open_stage, running_server
from tests.waiting import eventually

GONE_BAR_S = 15.0
P99_BAR_S = 0.1
STOP_BAR_S = 10.0
CLIENT_BYTES = 16 * 1024  # of the server's memory for each of a crowd
REST_BYTES = 16 * 1024 * 1024  # for whatever else it answers meanwhile
PATIENCE_S = 60.0  # after which a client or the server counts as never gone
DRIP_EVERY_S = 1.0
ASKERS = 4
OPENING = 500  # at once: what the kernel keeps for a busy server, a larger flood only retries later
HEAD = b"POST /webhooks/gemini HTTP/1.1\r\nHost: x\r\n"
BODY = HEAD + b"Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n{"
# What a slow client begins with, and whether bytes keep dripping in.
STARTS = (
    (b"", False),
    (HEAD, False),
    (HEAD + b"X: ", True),
    (BODY, False),
    (BODY, True),
    (
        HEAD + b"Content-Type: text/plain\r\nContent-Length: 500000\r\n\r\n",
        True,
    ),  # answered before its body is there
    (HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5", False),
)
KEPT = (GET, False)


def run_slow_clients(folder: Path, seed: int, clients: int) -> Report:
    """Hold `clients` half-open connections, and time others until the server has closed them all; then stop it."""
    report = Report("slow clients", seed)
    _allow_descriptors()
    with open_stage(folder, seed) as stage, running_server(stage) as server:
        gone, asked = asyncio.run(_crowd(stage, server, clients))
        p99 = sorted(asked)[int(len(asked) * 0.99)]
        report.note(clients=clients, last_gone_s=max(gone), others=len(asked), p99_ms=p99 * 1000)
        report.note(slowest_ms=max(asked) * 1000)
        report.hold("every slow client is closed", max(gone) < PATIENCE_S)
        report.hold_time(f"within {GONE_BAR_S:.0f} s", max(gone) < GONE_BAR_S)
        report.hold_time(f"others see a p99 under {P99_BAR_S} s", p99 < P99_BAR_S)
        stopped = asyncio.run(_stop(server, clients // 3))
        report.note(stopped_after_s=stopped)
        report.hold("the server stops with slow clients open", stopped < PATIENCE_S)
        report.hold_time(f"SIGTERM ends it within {STOP_BAR_S:.0f} s", stopped < STOP_BAR_S)
        problems = log_problems(server.log)
        report.hold(f"the log is JSON without tracebacks: {problems}", not problems)
    return report


def run_crowd(folder: Path, seed: int, clients: int) -> Report:
    """More connections than a machine usually has: others are answered, and memory stays bounded."""
    report = Report("crowd", seed)
    _allow_descriptors()
    with open_stage(folder, seed) as stage, running_server(stage) as server:
        before = server.memory_bytes()
        gone, asked = asyncio.run(_crowd(stage, server, clients))
        grown = server.memory_bytes("VmHWM") - before
        report.note(clients=clients, last_gone_s=max(gone), others=len(asked))
        report.note(median_ms=sorted(asked)[len(asked) // 2] * 1000, slowest_ms=max(asked) * 1000)
        report.note(grown_mb=grown / 1e6, grown_kb_per_client=grown / 1e3 / clients)
        report.hold("everybody else is answered", not math.isinf(max(asked)))
        report.hold("every slow client is closed", max(gone) < PATIENCE_S)
        most = REST_BYTES + clients * CLIENT_BYTES
        report.hold(f"memory grows by at most {most / 1e6:.0f} MB", grown < most)
        problems = log_problems(server.log)
        report.hold(f"the log is JSON without tracebacks: {problems}", not problems)
    return report


def _allow_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _crowd(stage: Stage, server: Server, clients: int) -> tuple[list[float], list[float]]:
    """Seconds until each slow client was closed, and seconds that each request of others took meanwhile."""
    everybody_gone = asyncio.Event()
    askers = [
        asyncio.create_task(_ask(stage, server, number, everybody_gone)) for number in range(ASKERS)
    ]
    opening = asyncio.Semaphore(OPENING)
    gone = await asyncio.gather(
        *(be_slow(server.port, *STARTS[at % len(STARTS)], opening) for at in range(clients))
    )
    everybody_gone.set()
    return gone, [seconds for taken in await asyncio.gather(*askers) for seconds in taken]


async def be_slow(
    port: int,
    start: bytes,
    is_dripping: bool,  # noqa: FBT001 - a row of STARTS
    opening: asyncio.Semaphore,
) -> float:
    """Seconds until the server closed the connection."""
    async with opening:
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    with suppress(ConnectionError):
        while time.monotonic() - begun < PATIENCE_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRIP_EVERY_S):
                    if not await reader.read(65536):
                        break
            if is_dripping:
                writer.write(b"a")
    writer.transport.abort()
    return time.monotonic() - begun


async def _ask(stage: Stage, server: Server, number: int, done: asyncio.Event) -> list[float]:
    """Deliver and ask for /health in turn, and time each. A refusal counts as long, silence as for ever."""
    rng, taken = Random(number), []
    while not done.is_set():
        delivery = make_original(stage.signer, "v1", rng)
        for data in (post(delivery, length_of(delivery)), GET, GET.replace(b"health", b"ready")):
            begun = time.monotonic()
            answer = await exchange(server.port, data)
            is_fine = answer is not None and answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 202 "))
            seconds = time.monotonic() - begun if is_fine else PATIENCE_S
            taken.append(math.inf if answer is None else seconds)
        await asyncio.sleep(0.02)
    return taken


async def _stop(server: Server, clients: int) -> float:
    """Seconds from SIGTERM to the end of a server that slow clients and kept connections hold open."""
    before = server.descriptors()
    starts, opening = (*STARTS, KEPT), asyncio.Semaphore(OPENING)
    slow = [
        asyncio.create_task(be_slow(server.port, *starts[at % len(starts)], opening))
        for at in range(clients)
    ]
    await asyncio.to_thread(
        eventually, lambda: server.descriptors() >= before + clients, 20, "the slow clients"
    )
    begun = time.monotonic()
    server.process.terminate()
    await asyncio.to_thread(server.process.wait, PATIENCE_S)
    taken = time.monotonic() - begun
    await asyncio.gather(*slow)
    return taken
