"""Workers that are stopped at every moment of a job, and what becomes of its batch."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.chaos.batches import attempts_of
from tests.chaos.stop_ways import Stopped, Way, stop_as
from tests.chaos.system import Process, System
from tests.forwarding import gate_before
from tests.object_server.running import ObjectServer
from tests.procfile import procfile_argv, with_path
from tests.running import ready_batch, set_faults
from tests.waiting import eventually

ROWS = 300
DRIP = {"drip_downloads": {"bytes_per_s": 2000, "times": "all"}}  # ten minutes
BUCKET = "stops"
START_S = 30
STORED_S = 60


@dataclass(frozen=True)
class Stage:
    """A system whose storage is a bucket, so that the storage can hang as well."""

    system: System
    bucket: ObjectServer
    names: list[str] = field(default_factory=list)  # of all batches so far

    def start_worker(self, **extra: str) -> Process:
        return self.system.start_program(
            "worker", procfile_argv("worker"), with_path({**self.system.environment, **extra})
        )

    def add_batch(self) -> str:
        """A batch of ROWS results of 4 kB. Gives its name."""
        source = self.system.folder / "results.jsonl"
        if not source.exists():
            row = '{{"key":"k{}","response":{{"candidates":[],"pad":"{}"}}}}\n'
            source.write_text("".join(row.format(number, "x" * 4000) for number in range(ROWS)))
        self.names.append(
            ready_batch(self.system.gemini_url, result_path=str(source), request_count=ROWS)
        )
        return self.names[-1]

    def is_stored(self, name: str) -> bool:
        return self.bucket.holds(f"{name.removeprefix('batches/')}/_manifest.json")

    def is_leased(self, name: str) -> bool:
        with connect(self.system.redis_url) as client:
            entry = Inbox(client).entries([name]).get(name)
        return entry is not None and entry.state == "leased"

    def scratch_folders(self) -> set[Path]:
        return {*(self.system.folder / "scratch").glob("gbr-*")}

    def seen(self, what: str, kind: str) -> int:
        count: int = self.bucket.seen()[what].get(kind, 0)
        return count

    def free(self) -> None:
        """Take every hindrance away."""
        assert self.system.valkey is not None
        self.system.valkey.send_signal(signal.SIGCONT)
        set_faults(self.system.gemini_url, drip_downloads=None)
        self.bucket.turn()


@contextmanager
def idle(stage: Stage) -> Iterator[Process]:
    worker = stage.start_worker()
    with redis.Redis.from_url(stage.system.redis_url) as client:
        eventually(lambda: client.scard("rq:workers"), START_S, "the worker's start")
    yield worker


@contextmanager
def asking(stage: Stage) -> Iterator[Process]:
    """Gemini has heard the question, and says nothing."""
    with gate_before(stage.system.gemini_url) as gate:
        gate.where, gate.what = "/batches/", "hold"
        worker = stage.start_worker(GEMINI_BASE_URL=gate.url)
        assert gate.held.wait(START_S)
        yield worker


@contextmanager
def downloading(stage: Stage) -> Iterator[Process]:
    set_faults(stage.system.gemini_url, **DRIP)
    before = stage.scratch_folders()  # a killed job leaves its own
    worker = stage.start_worker()
    eventually(lambda: stage.scratch_folders() - before, START_S, "the download")
    yield worker


@contextmanager
def storing(stage: Stage) -> Iterator[Process]:
    """Some outputs are stored, more are on their way."""
    stage.bucket.turn(delay_ms=1000)
    worker = stage.start_worker()
    eventually(lambda: stage.seen("requests", "put") > 1, START_S, "the first outputs")
    yield worker


@contextmanager
def hanging(stage: Stage) -> Iterator[Process]:
    """An output that the storage does not take."""
    stage.bucket.turn(fault="hang", on=["put"])
    worker = stage.start_worker()
    eventually(lambda: stage.seen("faults", "put"), START_S, "an output")
    yield worker


@contextmanager
def committing(stage: Stage) -> Iterator[Process]:
    """All outputs are stored, the manifest is on its way and does not arrive."""
    stage.bucket.turn(fault="hang", on=["create"])
    worker = stage.start_worker()
    eventually(lambda: stage.seen("faults", "create"), START_S, "the manifest")
    yield worker


@contextmanager
def silent(stage: Stage) -> Iterator[Process]:
    """In the middle of a download, with a Redis that does not answer."""
    with downloading(stage) as worker:
        assert stage.system.valkey is not None
        stage.system.valkey.send_signal(signal.SIGSTOP)
        yield worker


MOMENTS: dict[str, Callable[[Stage], AbstractContextManager[Process]]] = {
    "idle": idle,
    "asking Gemini": asking,
    "downloading": downloading,
    "storing": storing,
    "storage hangs": hanging,
    "manifest hangs": committing,
    "Redis silent": silent,
}


@dataclass(frozen=True)
class WorkerStop:
    stopped: Stopped
    resumed_s: float  # from the end, or from Redis' return, to the manifest; the next worker's start is in it
    attempts: int  # that were counted


def stop_worker(stage: Stage, moment: str, way: Way, grace_s: float) -> WorkerStop:
    """Stop a worker at this moment, and let another one finish what it had."""
    names = [] if moment == "idle" else [stage.add_batch()]
    with MOMENTS[moment](stage) as worker:
        stopped = stop_as(worker, way, grace_s)
        stage.free()
    begun = time.monotonic()
    names = names or [stage.add_batch()]
    following = stage.start_worker()
    eventually(lambda: all(map(stage.is_stored, names)), STORED_S, f"the manifest of {names[0]}")
    resumed_s = time.monotonic() - begun
    eventually(lambda: not stage.is_leased(names[0]), 10, "the end of the job")
    following.terminate()
    following.wait(15)
    return WorkerStop(stopped, resumed_s, attempts_of(stage.system, names))
