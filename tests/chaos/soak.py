"""A steady stream with a random fault every few seconds; memory and descriptors stay flat."""

import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.batches import add_steadily, ledger, wait_for_stored
from tests.chaos.checker import Watcher, judge
from tests.chaos.report import Options, Report
from tests.chaos.storms import kill_somebody
from tests.chaos.system import System, running_system, send_signal
from tests.running import set_faults

PER_S = 20
FAULT_EVERY_S = 10.0
FAULTS = (
    "kill",
    "kill",
    "sigterm",
    "web",
    "redis",
    "silence",
    "pause",
    "gemini",
    "missed",
    "duplicates",
)


def memory_kib(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
    return 0


def descriptors(pid: int) -> int:
    with suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return 0


def do_fault(system: System, fault: str, generator: random.Random) -> None:
    """One thing that goes wrong; what has to be set right again is."""
    worker = generator.choice(system.workers)
    if fault == "kill":
        kill_somebody(system, generator)
    elif fault == "sigterm":
        send_signal(worker.pid, signal.SIGTERM)
    elif fault == "web" and system.web is not None:
        system.web.kill()
        system.web.wait()
        system.start_web()
    elif fault == "redis":
        system.kill_valkey()
        time.sleep(generator.random() * 3)
        system.start_valkey()
    elif fault == "silence" and system.valkey is not None:
        system.valkey.send_signal(signal.SIGSTOP)
        time.sleep(generator.random() * 4)
        system.valkey.send_signal(signal.SIGCONT)
    elif fault == "pause":
        send_signal(worker.pid, signal.SIGSTOP)
        threading.Timer(generator.random() * 20, send_signal, (worker.pid, signal.SIGCONT)).start()
    elif fault == "gemini":
        set_faults(
            system.gemini_url, get_status={"status": generator.choice([429, 500, 503]), "times": 5}
        )
    elif fault == "missed":
        set_faults(system.gemini_url, drop_deliveries=3)
    else:
        set_faults(system.gemini_url, duplicate_deliveries=5)


def soak(options: Options) -> Report:
    """A steady stream of batches with a random fault every few seconds."""
    events, generator = options.size(2000, 100), random.Random(options.seed)
    report = Report("soak", options.seed)
    done: list[str] = []
    with (
        running_system(options.folder, options.seed, workers=3) as system,
        Watcher(system.outputs) as watcher,
    ):
        every_s = 3.0 if options.short else FAULT_EVERY_S
        next_fault = time.monotonic() + every_s
        web_kib: list[int] = []
        for _ in add_steadily(system, events, PER_S):
            system.replace_ended_workers()
            if time.monotonic() >= next_fault:
                done.append(generator.choice(FAULTS))
                do_fault(system, done[-1], generator)
                next_fault = time.monotonic() + every_s
                web_kib += [memory_kib(system.web.pid)] if system.web else []
        set_faults(system.gemini_url, drop_deliveries=0, duplicate_deliveries=0, get_status=None)
        names = [one["name"] for one in ledger(system)["batches"]]
        begun = time.monotonic()
        system.replay()
        with suppress(TimeoutError):
            wait_for_stored(system, names, 180 + events * 0.1)
        report.note(
            events=events,
            faults=len(done),
            last=f"{time.monotonic() - begun:.1f} s after the last event",
        )
        if system.web and web_kib:
            report.note(
                web_MiB=max(web_kib) // 1024,
                worker_MiB=max(memory_kib(one.pid) for one in system.workers) // 1024,
            )
            report.note(web_descriptors=descriptors(system.web.pid))
        report.judge(judge(system, watcher))
    return report
