"""Runs the takers of deliveries in turn, each on an empty Valkey that writes its file every second."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import redis

from deploy.sandbox.delivery.signing import new_secret
from deploy.sandbox.processes import allocate_port
from deploy.sandbox.valkey import running_valkey
from tests.bench.goals import verdict
from tests.bench.ingest.load import CONNECTIONS, Load, send, write_requests
from tests.bench.ingest.subjects import (
    CEILING,
    FASTAPI,
    GO,
    NAIVE,
    OURS,
    SUBJECTS,
    Subject,
    running,
)
from tests.bench.rounds import Say
from tests.bench.subjects import WrongWorkError
from tests.bench.tables import draw
from tests.waiting import eventually

PREPARED_PER_S = 32_000  # requests; more than anybody takes
WARM_UP_S = 1
Found = dict[str, list[Load]]


@dataclass(frozen=True)
class Goal:
    subject: Subject
    peer: Subject
    field: str  # of Load
    bound: float | None  # None: shown for comparison
    at_least: bool  # else at most

    def row(self, found: Found) -> list[str] | None:
        """Its line of the table; None when one of the two did not run."""
        pairs = list(
            zip(found.get(self.subject.name, ()), found.get(self.peer.name, ()), strict=False)
        )
        if not pairs:
            return None
        ratio = median(
            getattr(ours, self.field) / getattr(theirs, self.field) for ours, theirs in pairs
        )
        label = f"{self.field.replace('_', ' ')} of {self.subject.name} / {self.peer.name}"
        if self.bound is None:
            return [label, "", f"{ratio:.2f}", ""]
        said = verdict(1 / ratio, 1 / self.bound) if self.at_least else verdict(ratio, self.bound)
        return [label, f"{'>=' if self.at_least else '<='} {self.bound:g}", f"{ratio:.2f}", said]


GOALS = (
    Goal(OURS, CEILING, "per_s", 0.6, at_least=True),
    Goal(OURS, NAIVE, "per_s", 15, at_least=True),
    Goal(OURS, FASTAPI, "per_s", None, at_least=True),
    Goal(OURS, GO, "per_s", 6, at_least=True),
    Goal(OURS, NAIVE, "p99_ms", 1 / 8, at_least=False),
    Goal(OURS, CEILING, "cpu_us", None, at_least=False),
)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _cpu_s(pid: int) -> float:
    """Of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def run_once(subject: Subject, folder: Path, requests: Path, secret: str, seconds: int) -> Load:
    """One run after a warm-up. Raises WrongWorkError when a 2xx was not kept."""
    port = allocate_port()
    with running_valkey(folder, "--appendfsync", "everysec") as redis_url:
        env = {"REDIS_URL": redis_url, "GEMINI_WEBHOOK_SECRET": secret, "GEMINI_API_KEY": "unused"}
        env |= {"STORAGE_URL": (folder / "outputs").as_uri(), "RECONCILE_INTERVAL_S": "0"}
        with (
            running(subject, port, folder, env) as pid,
            redis.Redis.from_url(redis_url) as client,
        ):
            eventually(lambda: _listens(port), 20, f"the start of {subject.label}")
            warm = send(port, requests, 0, WARM_UP_S)
            before_s = _cpu_s(pid)
            load = send(port, requests, warm.requests + CONNECTIONS, seconds)
            load = replace(load, cpu_us=(_cpu_s(pid) - before_s) * 1e6 / load.requests)
            answered = warm.requests + load.requests - load.refused
            kept = subject.kept(client) if subject.kept else answered
    if load.refused or load.broken or kept < answered:
        raise WrongWorkError(
            f"{subject.label}: {load}, and {kept} of {answered} deliveries were kept"
        )
    return load


def measure(seconds: int, rounds: int, say: Say) -> Iterator[str]:
    """Gives the tables. Raises WrongWorkError, and RuntimeError without wrk."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is missing: apt-get install wrk")
    able = [subject for subject in SUBJECTS if not subject.missing]
    for subject in SUBJECTS:
        if subject.missing:
            say(f"skipped: {subject.label}: {subject.missing}")
    found: Found = {subject.name: [] for subject in able}
    secret = new_secret()
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        folder = Path(name)
        for number in range(1, rounds + 1):
            for subject in able:
                say(f"round {number} of {rounds}: {subject.label}")
                place = Path(tempfile.mkdtemp(dir=folder))
                write_requests(place / "requests", PREPARED_PER_S * (seconds + WARM_UP_S), secret)
                found[subject.name].append(
                    run_once(subject, place, place / "requests", secret, seconds)
                )
                shutil.rmtree(place)
    yield draw(
        ("", "deliveries/s", "p50 ms", "p99 ms", "CPU us"),
        [_row(subject, found[subject.name]) for subject in able],
    )
    yield draw(
        ("ratio", "goal", "measured", ""), [row for goal in GOALS if (row := goal.row(found))]
    )


def _row(subject: Subject, loads: list[Load]) -> list[str]:
    fields = ("per_s", "p50_ms", "p99_ms", "cpu_us")
    middle = [median(getattr(load, field) for load in loads) for field in fields]
    return [subject.label, f"{middle[0]:,.0f}", *(f"{one:.2f}" for one in middle[1:])]
