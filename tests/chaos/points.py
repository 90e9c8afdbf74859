"""Deaths at exact points of a job, pauses and skewed clocks, a batch that kills its worker."""

import signal
import statistics
import time
from pathlib import Path

from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.chaos.batches import add_batches, wait_for_stored
from tests.chaos.checker import Watcher, judge
from tests.chaos.report import Options, Report
from tests.chaos.system import (
    System,
    children_of,
    is_running,
    other_clock,
    running_system,
    send_signal,
)
from tests.running import ready_batch
from tests.waiting import eventually

DYING = ("-m", "tests.chaos.dying_worker")
POINTS = (
    "dequeue",
    "fork",
    "claim",
    "download-1",
    "download-50",
    "download-99",
    "rename-1",
    "rename-middle",
    "index",
    "manifest-before",
    "manifest-after",
    "done-before",
    "done-after",
)
FILE_ROWS = 1500


def write_results(path: Path) -> int:
    """A result file of FILE_ROWS rows. Gives its size in bytes."""
    answer = '{"response":{"candidates":[{"content":{"parts":[{"text":"An answer"}]},"finishReason":"STOP"}]},'
    path.write_text("".join(f'{answer}"key":"row-{number}"}}\n' for number in range(FILE_ROWS)))
    return path.stat().st_size


def times_in(path: Path) -> list[float]:
    return [float(line) for line in path.read_text().split()] if path.exists() else []


def prepare(system: System) -> Path:
    """A result file for batches, and the place where dying workers leave their notes."""
    source = system.folder / "results.jsonl"
    notes = system.folder / "notes"
    notes.mkdir()
    system.settings |= {"CHAOS_BYTES": str(write_results(source)), "CHAOS_FOLDER": str(notes)}
    return source


def keep_dying_workers(system: System, count: int) -> None:
    """As many as there should be, as a platform would see to it."""
    system.workers = [worker for worker in system.workers if worker.poll() is None]
    for _ in range(count - len(system.workers)):
        system.start_worker(DYING)


def kill_points(options: Options) -> Report:
    """Each point once with the work-horse killed, once with its worker; dequeue kills the worker either way."""
    report = Report("kill points", options.seed)
    people = ("horse",) if options.short else ("horse", "both")
    with running_system(options.folder, options.seed) as system, Watcher(system.outputs) as watcher:
        source = prepare(system)
        keep_dying_workers(system, 3)
        names, done = [], set[str]()
        for who in people:
            for point in POINTS:
                identity = f"s{options.seed}-at-{point}-{who}"
                names.append(
                    ready_batch(
                        system.gemini_url,
                        id=identity,
                        result_path=str(source),
                        request_count=FILE_ROWS,
                    )
                )
        notes = system.folder / "notes"
        deadline = time.monotonic() + 60 + 4 * len(names)
        with connect(system.redis_url) as client:
            inbox = Inbox(client)
            while len(done) < len(names) and time.monotonic() < deadline:
                keep_dying_workers(system, 3)
                done = {
                    name for name, entry in inbox.entries(names).items() if entry.state == "done"
                }
                time.sleep(0.1)
        waits = []
        for name in names:
            died = times_in(notes / f"{name.removeprefix('batches/')}.died")
            report.hold(f"{name} died", bool(died))
            later = [
                at
                for at in times_in(notes / f"{name.removeprefix('batches/')}.claims")
                if died and at > died[0]
            ]
            if "done-after" not in name:
                report.hold(f"{name} was run again", bool(later))
            waits += [min(later) - died[0]] if later else []
        report.note(points=len(names), unfinished=len(names) - len(done))
        report.hold("some point was reached", bool(waits))
        waits = waits or [float("inf")]
        report.note(
            median=f"{statistics.median(waits):.1f} s",
            longest=f"{max(waits):.1f} s until it runs again",
        )
        report.judge(judge(system, watcher))
    report.hold("all are marked as done", len(done) == len(names))
    report.hold_time("run again within 30 s", max(waits) <= 30)
    report.hold_time("median within 15 s", statistics.median(waits) <= 15)
    return report


def fences(options: Options) -> Report:
    """Two live executions of one batch, forced by pauses at the worst points, and clocks two minutes off."""
    report = Report("two executions", options.seed)
    paused = ("download-50", "rename-middle", "manifest-before")
    with running_system(options.folder, options.seed) as system, Watcher(system.outputs) as watcher:
        source = prepare(system)
        names = []
        notes = system.folder / "notes"
        for point in paused:
            worker = system.start_worker(DYING)
            identity = f"s{options.seed}-at-{point}-stop"
            names.append(
                ready_batch(
                    system.gemini_url, id=identity, result_path=str(source), request_count=FILE_ROWS
                )
            )
            eventually((notes / f"{identity}.died").exists, 60, f"the pause at {point}")
            send_signal(worker.pid, signal.SIGSTOP)
        sleepers = list(system.workers)
        system.workers = []
        system.start_worker(DYING)
        wait_for_stored(system, names, 90)
        for sleeper in sleepers:
            horses = children_of(sleeper.pid)
            report.hold("the paused one is still there", bool(horses))
            for pid in (*horses, sleeper.pid):
                send_signal(pid, signal.SIGCONT)
            wait_for_end(horses)
        system.workers += sleepers
        claims = [
            len(times_in(notes / f"{name.removeprefix('batches/')}.claims")) for name in names
        ]
        report.note(paused=len(names), executions=sum(claims))
        report.hold("each was executed twice", claims == [2] * len(names))
        names += skew(system, report, options)
        names += orphan(system, report, source, options)
        report.judge(judge(system, watcher))
    return report


def wait_for_end(pids: list[int]) -> None:
    eventually(lambda: not any(map(is_running, pids)), 30, "the end of the work-horse")


def skew(system: System, report: Report, options: Options) -> list[str]:
    """Two workers whose clocks are two minutes ahead and behind. Gives the batches they did."""
    for worker in system.workers:
        worker.terminate()
        worker.wait(20)
    system.workers = []
    for offset in ("+120s", "-120s"):
        system.start_worker(DYING, **other_clock(offset))
    names = add_batches(system, range(options.size(60, 10)))
    wait_for_stored(system, names, 120)
    claims = [
        len(times_in(system.folder / "notes" / f"{name.removeprefix('batches/')}.claims"))
        for name in names
    ]
    report.note(by_skewed_clocks=len(names), executed_twice=sum(count > 1 for count in claims))
    report.hold("skewed clocks run nothing twice", claims == [1] * len(names))
    return names


def orphan(system: System, report: Report, source: Path, options: Options) -> list[str]:
    """A worker killed alone takes its work-horse with it."""
    for worker in system.workers:
        worker.terminate()
        worker.wait(20)
    system.workers = []
    worker = system.start_worker(DYING)
    identity = f"s{options.seed}-orphan-at-manifest-before-stop"
    name = ready_batch(
        system.gemini_url, id=identity, result_path=str(source), request_count=FILE_ROWS
    )
    eventually((system.folder / "notes" / f"{identity}.died").exists, 60, "the pause")
    horses = children_of(worker.pid)
    report.hold("the job to be orphaned runs", len(horses) == 1)
    worker.kill()
    worker.wait()
    begun = time.monotonic()
    wait_for_end(horses)
    report.note(orphan_lived=f"{time.monotonic() - begun:.2f} s")
    system.workers = []
    system.start_worker(DYING)
    wait_for_stored(system, [name], 60)
    return [name]


def poison(options: Options) -> Report:
    """A batch that kills its worker each time ends up buried; the others go on."""
    report = Report("poison", options.seed)
    count = options.size(200, 20)
    with running_system(options.folder, options.seed) as system, Watcher(system.outputs) as watcher:
        prepare(system)
        for _ in range(2):
            system.start_worker(DYING)
        without_s = timed(system, range(count))
        name = add_batches(system, [10**5], id=f"s{options.seed}-poison")[0]
        with_s = timed(system, range(count, 2 * count))
        share = without_s / with_s
        with connect(system.redis_url) as client:
            inbox = Inbox(client)
            eventually(lambda: inbox.entries([name])[name].state == "buried", 120, "the burial")
            entry = inbox.entries([name])[name]
        report.note(
            others=2 * count,
            throughput=f"{share:.0%}",
            attempts=entry.attempts,
            cause=repr(entry.cause),
        )
        owed = [f"batches/s{options.seed}n{number:06d}" for number in range(2 * count)]
        report.judge(judge(system, watcher, owed))
    report.hold("buried after at most 5 attempts", entry.attempts <= 5)
    report.hold_time("the others keep 90 % of their throughput", share >= 0.9)
    report.hold("the cause is said", bool(entry.cause))
    return report


def timed(system: System, numbers: range) -> float:
    begun = time.monotonic()
    wait_for_stored(system, add_batches(system, numbers), 300)
    return time.monotonic() - begun
