"""The kill storm against plain RQ with Retry(3) and default settings, for tests/README.md."""

import random
import time
from pathlib import Path

import redis
from rq import Queue, Retry

from tests.chaos.batches import add_batches
from tests.chaos.report import Options, Report
from tests.chaos.storms import LATEST_S, PER_S, kill_somebody
from tests.chaos.system import System, running_system


def keep_workers(system: System, count: int) -> None:
    system.workers = [worker for worker in system.workers if worker.poll() is None]
    for _ in range(count - len(system.workers)):
        system.start_worker(
            ("-m", "tests.chaos.plain_worker"), PLAIN_OUTPUTS=str(system.folder / "plain")
        )


def stored(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*/_manifest.json"))


def plain_rq(options: Options) -> Report:
    """No bar is held here: it is a measurement of something else."""
    events, generator = options.size(1000, 100), random.Random(options.seed)
    kills = max(6, events * 60 // 1000)
    report = Report("plain RQ", options.seed)
    with (
        running_system(options.folder, options.seed, unrecorded="it is not ours") as system,
        redis.Redis.from_url(system.redis_url) as client,
    ):
        queue = Queue("default", connection=client)
        hits, done, begun = 0, 0, time.monotonic()
        while done < events or hits < kills:
            keep_workers(system, 3)
            due = min(events, int((time.monotonic() - begun) * PER_S) + 1)
            for name in add_batches(system, range(done, due), notify=False):
                queue.enqueue("tests.chaos.plain_worker.store", name, retry=Retry(max=3))
            done = due
            if hits < kills * done / events:
                hits += bool(kill_somebody(system, generator))
            time.sleep(0.05)
        folder = system.folder / "plain"
        deadline = time.monotonic() + LATEST_S
        while stored(folder) < events and time.monotonic() < deadline:
            keep_workers(system, 3)
            time.sleep(0.5)
        twice = sum(len(path.read_text().split()) > 1 for path in folder.glob("*/_times"))
        report.note(
            events=events, kills=hits, not_stored_60_s_after_the_last_kill=events - stored(folder)
        )
        report.note(
            failed_for_good=queue.failed_job_registry.get_job_count(cleanup=False),
            stored_twice=twice,
        )
    return report
