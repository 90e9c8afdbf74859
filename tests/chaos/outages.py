"""Gemini is away while batches end, and then the storage: nothing is given up, and all is stored after."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import httpx

from tests.chaos.batches import add_batches, attempts_of, is_stored, wait_for_stored
from tests.chaos.checker import Watcher, judge
from tests.chaos.posts import post
from tests.chaos.report import Options, Report
from tests.chaos.system import System, running_system
from tests.forwarding import REFUSAL, Gate, gate_before

SCALE = 60  # an hour of the outage takes a minute
HOUR_S = 3600 / SCALE
SHORT_S = 8.0  # the whole outage in the short form: five errors, one after the other, take less
BASE_S = 5 / SCALE
UNAVAILABLE = httpx.Response(
    503, json={"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}}
)
SWITCH_S = 0.5  # between two ways to be away
PER_OUTAGE = 40


@contextmanager
def gemini_away(gate: Gate) -> Iterator[None]:
    """By turns it says that it is overloaded, breaks connections, and refuses for want of room."""
    ways, ended = (
        cycle([("refuse", UNAVAILABLE), ("lose", UNAVAILABLE), ("refuse", REFUSAL)]),
        threading.Event(),
    )

    def turn() -> None:
        while not ended.wait(SWITCH_S):
            what, gate.refusal = next(ways)
            gate.what = "lose" if what == "lose" else "refuse"
        gate.what = "pass"

    gate.what, gate.refusal = "refuse", UNAVAILABLE
    turning = threading.Thread(target=turn, daemon=True)
    turning.start()
    yield
    ended.set()
    turning.join()


@contextmanager
def storage_away(system: System) -> Iterator[None]:
    """As after a failed mount: where the folder was, there is none, and none can be made."""
    aside = system.folder / "unmounted"
    system.outputs.rename(aside)
    system.outputs.write_text("")
    yield
    system.outputs.unlink()
    aside.rename(system.outputs)


def _status(system: System) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(system.command("status", "--json").stdout)
    return found


def _announce(system: System, numbers: Sequence[int]) -> list[str]:
    names = add_batches(system, numbers)
    for name in names:  # the stand-in's courier may be late; it is not deliveries that fail here
        post(system, name, f"msg_{name[8:]}")
    return names


@dataclass(frozen=True)
class Outage:
    """Who is away for how long, and which batches end meanwhile."""

    what: str
    away: AbstractContextManager[None]
    seconds: float
    numbers: Sequence[int]


def _bear(report: Report, system: System, outage: Outage) -> None:
    what, away_s = outage.what, outage.seconds
    with outage.away:
        ends = time.monotonic() + away_s
        names = _announce(system, outage.numbers)
        time.sleep(max(0.0, ends - time.monotonic()))
        standing = _status(system)
        report.hold(f"{what} was away", not any(is_stored(system, name) for name in names))
    back = time.monotonic()
    with suppress(TimeoutError):
        wait_for_stored(system, names, 300)
    took_s = time.monotonic() - back
    waiting = sum(one["batches"] for one in standing["outages"])
    report.note(
        **{
            f"{what}_away": f"{away_s:.0f} s",
            f"{what}_waiting": waiting,
            f"{what}_stored_after": took_s,
        }
    )
    report.hold(f"{what} away: status says what waits", waiting == len(names))
    report.hold(
        f"{what} away: nothing is buried", standing["buried"] == _status(system)["buried"] == 0
    )
    report.hold(f"{what} away: no attempt is counted", attempts_of(system, names) == 0)
    report.hold_time(
        f"{what} away: stored within the outage's length", took_s <= max(10, 1.5 * away_s)
    )


def outage(options: Options) -> Report:
    """An hour without Gemini, in which batches end, and an hour without the storage: a minute each, or seconds."""
    report = Report("outage", options.seed)
    away_s, count = SHORT_S if options.short else HOUR_S, options.size(PER_OUTAGE, 6)
    with (
        running_system(options.folder, options.seed) as system,
        gate_before(system.gemini_url) as gate,
    ):
        gate.where = ""
        system.settings |= {"GEMINI_BASE_URL": gate.url, "RETRY_BASE_S": f"{BASE_S:.3f}"}
        for _ in range(2):
            system.start_worker()
        with Watcher(system.outputs) as watcher:
            wait_for_stored(system, add_batches(system, [2 * count]), 60)
            _bear(report, system, Outage("gemini", gemini_away(gate), away_s, range(count)))
            watcher.changed()  # it has seen all that is there
            _bear(
                report,
                system,
                Outage("storage", storage_away(system), away_s, range(count, 2 * count)),
            )
            report.hold("no worker ended", not system.replace_ended_workers())
            report.judge(judge(system, watcher))
    return report
