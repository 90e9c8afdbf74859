"""Storms of signals: kills of workers and of the web process, SIGTERMs."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.chaos.batches import (
    add_batches,
    add_steadily,
    attempts_of,
    is_stored,
    ledger,
    wait_for_stored,
)
from tests.chaos.checker import Watcher, judge
from tests.chaos.report import Options, Report
from tests.chaos.system import System, children_of, running_system, send_signal

PER_S = 5  # batches of a kill storm: a worker needs a second or two to start, and faster kills leave none that works
SIGNALS_PER_S = 20  # batches of a SIGTERM storm
STORED_OF_R1 = 1000  # the first ones; to store all of ten thousand shows no more of the web process
LATEST_S = 60.0  # the last batch is done so long after the last kill


def await_horse(worker_pid: int, timeout_s: float) -> list[int]:
    """The worker's work-horse as soon as it has one."""
    deadline = time.monotonic() + timeout_s
    while not (horses := children_of(worker_pid)) and time.monotonic() < deadline:
        time.sleep(0.002)
    return horses


def kill_somebody(system: System, generator: random.Random) -> str:
    """SIGKILL to a random worker, its work-horse, or both at once. Gives who was hit; empty where nobody was there."""
    alive = [worker for worker in system.workers if worker.poll() is None]
    if not alive:
        return ""
    worker, target = generator.choice(alive), generator.choice(["horse", "parent", "both"])
    if target == "parent":
        worker.kill()
        return target
    horses = await_horse(worker.pid, 1)
    time.sleep(generator.random() * 0.06)  # into the middle of its job
    hit = [send_signal(horse, signal.SIGKILL) for horse in horses]
    if target == "both":
        worker.kill()
    return target if any(hit) or target == "both" else ""


def kill_storm(options: Options) -> Report:
    """Random kills of work-horses and workers while batches arrive."""
    events, generator = options.size(1000, 40), random.Random(options.seed)
    kills = max(6, events * 60 // 1000)
    report = Report("kill storm", options.seed)
    with (
        running_system(options.folder, options.seed, workers=3) as system,
        Watcher(system.outputs) as watcher,
    ):
        hit: list[str] = []
        for added in add_steadily(system, events, per_s=PER_S):
            system.replace_ended_workers()
            if len(hit) < kills * added / events and (who := kill_somebody(system, generator)):
                hit.append(who)
        while len(hit) < kills:
            system.replace_ended_workers()
            hit += filter(None, [kill_somebody(system, generator)])
        last_kill = time.monotonic()
        names = [batch["name"] for batch in ledger(system)["batches"]]
        with suppress(TimeoutError):
            wait_for_stored(system, names, 2 * LATEST_S)
        last_s = time.monotonic() - last_kill
        report.note(
            events=events,
            kills=len(hit),
            **{f"of_{who}": hit.count(who) for who in ("horse", "parent", "both")},
        )
        report.judge(judge(system, watcher))
    report.note(last=f"{last_s:.1f} s after the last kill")
    report.hold_time(f"the last one is done within {LATEST_S:.0f} s", last_s <= LATEST_S)
    return report


def sigterm_storm(options: Options) -> Report:
    """Workers are told to end all the time; nothing may be counted against a batch."""
    events, generator = options.size(1000, 40), random.Random(options.seed)
    signals = max(6, events * 150 // 4000)
    report = Report("SIGTERM storm", options.seed)
    with (
        running_system(options.folder, options.seed, workers=3) as system,
        Watcher(system.outputs) as watcher,
    ):
        sent = 0
        for added in add_steadily(system, events, per_s=SIGNALS_PER_S):
            system.replace_ended_workers()
            if sent < signals * added / events:
                worker = generator.choice(system.workers)
                sent += worker.poll() is None and send_signal(worker.pid, signal.SIGTERM)
        last = time.monotonic()
        names = [batch["name"] for batch in ledger(system)["batches"]]
        with suppress(TimeoutError):
            wait_for_stored(
                system, names, LATEST_S + events / SIGNALS_PER_S
            )  # the workers may lag behind
        stuck = sum(not is_stored(system, name) for name in names)
        last_s = time.monotonic() - last
        counted = attempts_of(system, names)
        report.note(events=events, SIGTERMs=sent, stuck=stuck, attempts_counted=counted)
        report.judge(judge(system, watcher))
    report.note(last=f"{last_s:.1f} s after the last signal")
    report.hold("nothing is stuck", stuck == 0)
    report.hold("no attempt is counted", counted == 0)
    return report


def web_kills(options: Options) -> Report:
    """What got a 2xx is in the inbox, however often the web process is killed."""
    events, generator = options.size(1000, 40), random.Random(options.seed)
    kills = max(4, events // 100)
    report = Report("kills of the web process", options.seed)
    with running_system(options.folder, options.seed) as system, Watcher(system.outputs) as watcher:
        with ThreadPoolExecutor(1) as pool:
            for number in range(kills):
                numbers = range(number * events // kills, (number + 1) * events // kills)
                adding = pool.submit(add_batches, system, numbers)
                assert system.web is not None
                time.sleep(generator.random() * 0.5)
                system.web.kill()
                system.web.wait()
                system.start_web()
                adding.result()
        accepted = [
            delivery["batch"] for delivery in ledger(system)["deliveries"] if delivery["accepted"]
        ]
        with connect(system.redis_url) as client:
            owed = Inbox(client).entries(accepted)
        report.note(
            events=events, kills=kills, answered_with_2xx=len(accepted), in_the_inbox=len(owed)
        )
        report.hold("what got a 2xx is in the inbox", len(owed) == len(accepted) > 0)
        for _ in range(2):
            system.start_worker()
        some = sorted(owed, key=lambda name: owed[name].accepted_ms)[
            :STORED_OF_R1
        ]  # in the workers' order
        with suppress(TimeoutError):
            wait_for_stored(system, some, 60 + len(some) * 0.2)
        report.note(stored=sum(is_stored(system, name) for name in some))
        report.judge(judge(system, watcher, some))
    return report
