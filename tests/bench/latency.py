"""From a delivery to its output: when nothing else happens, and how it grows with what waits."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.bench.goals import verdict
from tests.bench.rounds import Say
from tests.bench.tables import draw
from tests.chaos.batches import add_batches, is_stored, wait_for_stored
from tests.chaos.posts import post
from tests.chaos.system import System, running_system
from tests.waiting import eventually

GOAL_MS = 60.0
SAME = 1.1
POLL_S = 0.001


def first_byte_ms(system: System, name: str) -> float:
    """Milliseconds from the moment a delivery is sent until an output of its batch can be read."""
    folder = system.outputs / name.removeprefix("batches/")
    begun = time.monotonic()
    post(system, name, f"msg_{name[8:]}")
    while not any(folder.glob("*.json")):
        if time.monotonic() - begun > 60:
            raise TimeoutError(f"{name} has no output after a minute")
        time.sleep(POLL_S)
    return (time.monotonic() - begun) * 1000


def drain_ms(system: System, names: list[str]) -> float:
    """Milliseconds a batch when so many wait for one worker that starts."""
    for name in names:
        post(system, name, f"msg_{name[8:]}")
    worker = system.start_worker()
    eventually(lambda: any(is_stored(system, name) for name in names), 60, "the first batch")
    begun = time.monotonic()
    wait_for_stored(system, names, 600)
    spent_ms = (time.monotonic() - begun) * 1000 / len(names)
    worker.terminate()
    worker.wait(20)
    system.workers.remove(worker)
    return spent_ms


def measure(count: int, say: Say) -> Iterator[str]:
    """`count` deliveries one by one; then as many waiting batches, and ten times as many. Gives the tables."""
    with (
        tempfile.TemporaryDirectory(prefix="latency-") as folder,
        running_system(Path(folder), 1) as system,
    ):
        worker = system.start_worker()
        names = add_batches(system, range(12 * count + 1), notify=False)
        first_byte_ms(system, names.pop())  # the worker has started
        say(f"{count} deliveries, one after the other")
        idle = [first_byte_ms(system, names.pop()) for _ in range(count)]
        worker.terminate()
        worker.wait(20)
        system.workers.remove(worker)
        rates = []
        for waiting in (count, 10 * count):
            say(f"{waiting} batches that wait for one worker")
            rates.append(drain_ms(system, [names.pop() for _ in range(waiting)]))
    middle, late = median(idle), quantiles(idle, n=10)[-1]
    goal = [f"<= {GOAL_MS:.0f}", f"{middle:.0f}", verdict(middle, GOAL_MS)]
    rows = [
        ["delivery to output, idle: median ms", *goal],
        ["the same: ninth decile ms", "", f"{late:.0f}", ""],
    ]
    rows += [[f"a batch of {count} that wait: ms", "", f"{rates[0]:.0f}", ""]]
    rows += [[f"a batch of {10 * count} that wait: ms", "", f"{rates[1]:.0f}", ""]]
    rows += [
        [
            "ratio of the last two",
            f"<= {SAME}",
            f"{rates[1] / rates[0]:.2f}",
            verdict(rates[1] / rates[0], SAME),
        ]
    ]
    yield draw(("", "goal", "measured", ""), rows)
