"""Redis starts from another time, or from a file that is old or cut."""

import shutil
from contextlib import suppress

import redis

from tests.chaos.batches import add_batches, ledger, wait_for_stored
from tests.chaos.checker import Watcher, judge
from tests.chaos.clocks import restart_valkey_at
from tests.chaos.report import Options, Report
from tests.chaos.system import System, running_system
from tests.waiting import eventually

INTERVAL_S = 5
AHEAD = "+25h"
CUT_BYTES = 200  # of the last commands
STORED_S = 120


def clock_jumps(options: Options) -> Report:
    """Redis' clock jumps a day ahead in the middle of the work, and back: all is stored once."""
    report = Report("Redis' clock", options.seed)
    few = options.size(50, 10)
    with (
        running_system(options.folder, options.seed, workers=2, settings=_looks()) as system,
        Watcher(system.outputs) as watcher,
    ):
        wait_for_stored(system, add_batches(system, range(few)), STORED_S)
        add_batches(system, range(few, 2 * few))
        restart_valkey_at(system, AHEAD)
        wait_for_stored(system, _names(system), STORED_S)
        _stop_workers(system)
        add_batches(system, range(2 * few, 3 * few))  # due a day later by the clock that comes back
        _wait_for_accepted(system)
        system.kill_valkey()
        system.start_valkey()
        for _ in range(2):
            system.start_worker()
        with suppress(TimeoutError):
            wait_for_stored(system, _names(system), STORED_S)
        report.note(batches=3 * few, ahead=AHEAD)
        report.judge(judge(system, watcher))
    return report


def old_files(options: Options) -> Report:
    """An append-only file without its end, and one in a single file, as Redis wrote it before 7."""
    report = Report("Redis' file", options.seed)
    few = options.size(50, 10)
    with (
        running_system(options.folder, options.seed, workers=1, settings=_looks()) as system,
        Watcher(system.outputs) as watcher,
    ):
        wait_for_stored(system, add_batches(system, range(few)), STORED_S)
        _stop_workers(system)
        for at, change in enumerate((_cut, _write_as_before), start=1):
            add_batches(system, range(at * few, (at + 1) * few))
            _wait_for_accepted(system)
            before = _count_keys(system)
            system.kill_valkey()
            change(system)
            system.start_valkey()
            report.note(**{change.__name__.strip("_"): f"{_count_keys(system)} of {before} keys"})
        system.start_worker()
        with suppress(TimeoutError):
            wait_for_stored(system, _names(system), STORED_S)
        report.hold("the old file is read", _is_read_as_before(system))
        report.judge(judge(system, watcher))
    return report


def _looks() -> dict[str, str]:
    """What only a look at Gemini's list can restore is restored."""
    return {"RECONCILE_INTERVAL_S": str(INTERVAL_S)}


def _names(system: System) -> list[str]:
    return [one["name"] for one in ledger(system)["batches"]]


def _stop_workers(system: System) -> None:
    for worker in system.workers:
        worker.terminate()
    for worker in system.workers:
        worker.wait(20)
    system.workers = []


def _wait_for_accepted(system: System) -> None:
    eventually(
        lambda: all(one["accepted"] for one in ledger(system)["deliveries"]), 60, "the deliveries"
    )


def _count_keys(system: System) -> int:
    with redis.Redis.from_url(system.redis_url) as client:
        return int(client.dbsize())


def _cut(system: System) -> None:
    """As a power cut leaves it."""
    (newest,) = (system.folder / "valkey" / "appendonlydir").glob("*.incr.aof")
    with newest.open("r+b") as file:
        file.truncate(newest.stat().st_size - CUT_BYTES)


def _write_as_before(system: System) -> None:
    """A snapshot and what came after it, in one file beside the folder that is used today."""
    folder = system.folder / "valkey"
    parts = sorted((folder / "appendonlydir").glob("appendonly.aof.*.aof"))  # incr after base
    parts = [*(folder / "appendonlydir").glob("*.base.rdb"), *parts]
    (folder / "appendonly.aof").write_bytes(b"".join(part.read_bytes() for part in parts))
    shutil.rmtree(folder / "appendonlydir")


def _is_read_as_before(system: System) -> bool:
    said = (system.folder / "valkey" / "valkey.log").read_text()
    return "Successfully migrated an old-style AOF" in said
