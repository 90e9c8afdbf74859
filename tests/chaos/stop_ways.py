"""How platforms stop a process: which signals, to whom, how often, and how long until they kill."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGINT, SIGKILL, SIGTERM

from tests.chaos.system import Process, children_of, is_running, send_signal
from tests.waiting import eventually

GRACES_S = (5, 10, 30)
LATER_S = 2.0
LEFT_S = 1.0


@dataclass(frozen=True)
class Way:
    who: str  # stops so
    signals: tuple[
        tuple[float, signal.Signals, bool], ...
    ]  # seconds after the first one, which, whether to all


WAYS = {
    "SIGTERM": Way(
        "Kubernetes, systemd, Cloud Run, Render, Railway, compose", ((0, SIGTERM, False),)
    ),
    "SIGTERM to all": Way("Heroku, honcho, foreman", ((0, SIGTERM, True),)),
    "SIGINT": Way("Fly's own", ((0, SIGINT, False),)),
    "SIGINT to all": Way("Ctrl-C", ((0, SIGINT, True),)),
    "repeated": Way(
        "a runner that passes on what all got, and asks again",
        ((0, SIGTERM, True), (0, SIGTERM, False), (LATER_S, SIGTERM, True)),
    ),
}


@dataclass(frozen=True)
class Stopped:
    seconds: float  # until it was out
    killed: bool  # since its time was over
    left: int  # of its processes a moment later


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for child in children_of(pid):
        yield from family(child)


def stop_as(process: Process, way: Way, grace_s: float) -> Stopped:
    """Stop it as a platform does: after `grace_s` all that is left is killed."""
    begun, all_of_it = time.monotonic(), [*family(process.pid)]
    for after_s, which, to_all in (*way.signals, (grace_s, SIGKILL, True)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0, begun + after_s - time.monotonic()))
        if process.poll() is not None:
            break
        for pid in all_of_it if to_all else all_of_it[:1]:
            send_signal(pid, which)
    process.wait(10)
    seconds = time.monotonic() - begun
    with suppress(AssertionError):
        eventually(lambda: not any(map(is_running, all_of_it)), LEFT_S)
    return Stopped(seconds, process.returncode == -SIGKILL, sum(map(is_running, all_of_it)))
