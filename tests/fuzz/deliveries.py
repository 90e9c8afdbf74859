"""Mutated deliveries against the real application in this process, with a real Valkey behind it."""

import asyncio
import base64
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from starlette.applications import Starlette
from starlette.types import Message

from receiver.settings.settings import read_settings
from receiver.telemetry.logs import JsonFormatter
from receiver.web.app import create_app
from tests.chaos.report import Report
from tests.fuzz.mutations import mutate
from tests.fuzz.originals import SCHEMES, Delivery, is_genuine, make_original
from tests.fuzz.stage import Stage, log_problems, open_stage

REFUSALS = {400, 401, 405, 413, 415}
ROUND = 1000  # mutants of the same few originals, which have to be fresh
ORIGINALS = 12
AT_ONCE = 50
MAX_SHOWN = 5


def fuzz_deliveries(folder: Path, seed: int, count: int) -> Report:
    """Send `count` mutants, and after each round the originals that they were made of: those must be accepted."""
    report = Report("mutated deliveries", seed)
    with open_stage(folder, seed) as stage, logging_to(folder / "app.log") as log:
        begun = time.monotonic()
        asyncio.run(_run(stage, report, count))
        report.note(seconds=time.monotonic() - begun)
        problems = log_problems(log)
        report.hold(f"the log is JSON without tracebacks: {problems}", not problems)
    return report


async def _run(stage: Stage, report: Report, count: int) -> None:
    app = create_app(read_settings(stage.settings))
    answers, controls = Counter[int](), Counter[int]()
    async with app.router.lifespan_context(app):
        for number in range(0, count, ROUND):
            rng = Random(f"{report.seed}-{number}")
            originals = [
                make_original(stage.signer, SCHEMES[at % len(SCHEMES)], rng)
                for at in range(ORIGINALS)
            ]
            for size in _slices(min(ROUND, count - number), AT_ONCE):
                batch = [_spoilt(rng, stage, rng.choice(originals)) for _ in range(size)]
                statuses = await asyncio.gather(*(answer(app, mutant) for mutant, _ in batch))
                answers.update(statuses)
                for (mutant, what), status in zip(batch, statuses, strict=True):
                    report.hold(_explain(number, mutant, what, status), status in REFUSALS)
            for original in originals:
                controls[await answer(app, original)] += 1
    report.note(
        deliveries=count, **{str(status): amount for status, amount in sorted(answers.items())}
    )
    report.note(controls=dict(controls))
    report.hold("every original is accepted", set(controls) == {202})
    del report.misses[MAX_SHOWN:]


def _slices(total: int, size: int) -> Iterator[int]:
    for begin in range(0, total, size):
        yield min(size, total - begin)


def _spoilt(rng: Random, stage: Stage, original: Delivery) -> tuple[Delivery, str]:
    """A mutant that nobody may accept."""
    while True:
        mutant, what = mutate(rng, stage.signer, original)
        if not is_genuine(original, mutant):
            return mutant, what


async def answer(app: Starlette, delivery: Delivery) -> int:
    """The status of the application's answer; 0 for none, 599 for an exception."""
    statuses: list[int] = []
    messages: list[Message] = [{"type": "http.request", "body": delivery.body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    path = delivery.path
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": delivery.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(delivery.headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    try:
        await app(scope, receive, send)
    except Exception:
        logging.getLogger(__name__).exception("fuzz.escaped")
        return 599
    return statuses[0] if statuses else 0


def _explain(number: int, mutant: Delivery, what: str, status: int) -> str:
    return f"round {number}, {what}: {status} for {base64.b64encode(mutant.wire[:4000]).decode()}"


@contextmanager
def logging_to(path: Path) -> Iterator[Path]:
    """The log of this process in a file, in the receiver's own form."""
    handler = logging.FileHandler(path)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    before, root.handlers = root.handlers, [handler]
    level = root.level
    root.setLevel(logging.INFO)
    try:
        yield path
    finally:
        root.handlers = before
        root.setLevel(level)
        handler.close()
