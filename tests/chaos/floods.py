"""More deliveries than usual, at two web processes."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from deploy.sandbox.processes import allocate_port
from tests.chaos.batches import add_batches, wait_for_stored
from tests.chaos.checker import Watcher, judge
from tests.chaos.posts import Answer, post
from tests.chaos.report import Options, Report
from tests.chaos.system import System, running_system
from tests.running import answers
from tests.waiting import eventually

PER_S = 500
SENDERS = 64
P99_S = 0.5
DRAINED_PER_S = 5  # by two workers, at the very least


def second_door(system: System) -> str:
    """Another web process on the same Redis. Gives its webhook URL."""
    port = allocate_port()
    system.start_program("web2", [sys.executable, "-m", "workers", "serve", "--port", str(port)])
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: answers(f"{url}/health"), 30, "the second web process's start")
    return f"{url}/webhooks/gemini"


def post_at(system: System, name: str, url: str, moment: float) -> Answer:
    time.sleep(max(0.0, moment - time.monotonic()))
    return post(system, name, f"msg_{name[8:]}", url=url)


def burst(options: Options) -> Report:
    """500 deliveries a second, every other one sent again to the other web process."""
    report = Report("burst", options.seed)
    events = options.size(5000, 100)
    with (
        running_system(options.folder, options.seed, workers=2) as system,
        Watcher(system.outputs) as watcher,
    ):
        doors = (system.webhook_url, second_door(system))
        names = add_batches(system, range(events), notify=False)
        begun = time.monotonic() + 0.5
        with ThreadPoolExecutor(SENDERS) as pool:
            sent = [
                pool.submit(post_at, system, name, doors[number % 2], begun + number / PER_S)
                for number, name in enumerate(names)
            ]
            found = [one.result() for one in sent]
            again = list(
                pool.map(
                    lambda name: post(system, name, f"msg_{name[8:]}", url=doors[1]), names[::2]
                )
            )
        accepted = [name for name, one in zip(names, found, strict=True) if one.status == 202]
        seconds = sorted(one.seconds for one in found)
        told_off = [one for one in found if (one.status, one.retry_after) == (503, "5")]
        report.note(events=events, accepted=len(accepted), told_to_come_back=len(told_off))
        report.note(
            p50=f"{seconds[events // 2] * 1000:.0f} ms",
            p99=f"{seconds[events * 99 // 100] * 1000:.0f} ms",
        )
        report.hold("2xx or 503 with Retry-After", len(accepted) + len(told_off) == events)
        statuses = sorted({one.status for one in again})
        report.note(the_other_process_says=statuses)
        report.hold("the other process knows them", statuses == [200])
        with suppress(TimeoutError):
            wait_for_stored(system, names, 60 + events / DRAINED_PER_S)
        report.judge(judge(system, watcher, accepted))
    report.hold_time(f"p99 within {P99_S * 1000:.0f} ms", seconds[events * 99 // 100] <= P99_S)
    return report
