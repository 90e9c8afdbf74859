"""Malformed HTTP requests against the real `serve` process, over sockets."""

import asyncio
import base64
import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.chaos.report import Report
from tests.fuzz.originals import SCHEMES, make_original
from tests.fuzz.shapes import GET, MAKERS, Shape, length_of, post
from tests.fuzz.stage import Server, Stage, log_problems, open_stage, running_server

AT_ONCE = 16
CONTROL_EVERY = 100  # a genuine request among so many shows that the harness reaches the server
ANSWER_TIMEOUT_S = 20.0  # longer than any of the server's own deadlines
HEALTH_BAR_S = 0.1
MAX_SHOWN = 5
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")


def fuzz_requests(folder: Path, seed: int, count: int) -> Report:
    """Send `count` malformed requests, each over its own connection."""
    report = Report("malformed requests", seed)
    with open_stage(folder, seed) as stage, running_server(stage) as server:
        begun = time.monotonic()
        asyncio.run(_send_all(stage, server, report, count))
        report.note(seconds=time.monotonic() - begun)
        slowest = max(asyncio.run(time_health(server, 200)))
        report.note(
            slowest_health_afterwards_ms=slowest * 1000, peak_MB=server.memory_bytes("VmHWM") / 1e6
        )
        report.hold("the server lives", server.process.poll() is None)
        report.hold_time(f"/health within {HEALTH_BAR_S} s afterwards", slowest < HEALTH_BAR_S)
        problems = log_problems(server.log)
        report.hold(f"the log is JSON without tracebacks: {problems}", not problems)
    return report


async def _send_all(stage: Stage, server: Server, report: Report, count: int) -> None:
    counted, controls = Counter[str](), Counter[str]()
    for begin in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - begin)
        shapes = [
            _make(stage, Random(f"{report.seed}-{number}"), number)
            for number in range(begin, begin + size)
        ]
        answers = await asyncio.gather(*(exchange(server.port, shape.data) for shape in shapes))
        for shape, found in zip(shapes, answers, strict=True):
            _judge(report, shape, found, controls if shape.name == "control" else counted)
    report.note(requests=count, **dict(sorted(counted.items())), controls=dict(controls))
    report.hold("every control is accepted", set(controls) == {"202"})
    del report.misses[MAX_SHOWN:]


def _make(stage: Stage, rng: Random, number: int) -> Shape:
    delivery = make_original(stage.signer, rng.choice(SCHEMES[:2]), rng)
    if number % CONTROL_EVERY == 0:
        return Shape(
            "control", post(delivery, length_of(delivery), b"Connection: close"), may_succeed=True
        )
    return rng.choice(MAKERS)(rng, delivery)


def _judge(report: Report, shape: Shape, answer: bytes | None, counter: Counter[str]) -> None:
    statuses = [found.decode() for found in STATUS_LINE.findall(answer or b"")]
    counter.update(statuses or ["none"])
    shown = f"{shape.name}: {statuses} for {base64.b64encode(shape.data[:4000]).decode()}"
    report.hold(f"the connection ends; {shown}", answer is not None)
    report.hold(f"no 5xx; {shown}", not any(status >= "500" for status in statuses))
    is_fine = shape.may_succeed or not any(status.startswith("2") for status in statuses)
    report.hold(f"no 2xx; {shown}", is_fine)


async def exchange(port: int, data: bytes) -> bytes | None:
    """Send these bytes and nothing more. Gives all that came until the server closed; None when it never did."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            with suppress(OSError):  # the server may close before it has read all
                writer.write(data)
                writer.write_eof()
                await writer.drain()
            with suppress(ConnectionError):
                while piece := await reader.read(65536):
                    answer += piece
        return bytes(answer)
    except TimeoutError:
        return None
    finally:
        writer.transport.abort()


async def time_health(server: Server, count: int) -> list[float]:
    """Seconds that each of some calls of /health takes, connection and all."""
    taken = []
    for _ in range(count):
        begun = time.monotonic()
        answer = await exchange(server.port, GET)
        taken.append(
            time.monotonic() - begun if answer and b" 200 " in answer else ANSWER_TIMEOUT_S
        )
    return taken
