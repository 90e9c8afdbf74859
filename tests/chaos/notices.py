"""Kills everybody who has to do with notices, and asks whether each batch that ended was heard of."""

import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.sandbox.processes import allocate_port, stop
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from receiver.notices.outbox import Outbox
from tests.chaos.batches import add_steadily, ledger
from tests.chaos.checker import Watcher, judge
from tests.chaos.points import FILE_ROWS, keep_dying_workers, prepare
from tests.chaos.report import Options, Report
from tests.chaos.storms import kill_somebody
from tests.chaos.system import System, running_system
from tests.notice_receiver import read_received, start_receiver
from tests.receiver.forging import SECRET_TEXT
from tests.running import ready_batch

PER_S = 6  # batches
POINTS = ("manifest-after", "done-before", "done-after")  # where the news could fall between
VICTIMS = ("receiver", "worker", "web", "worker")  # in turn
LATEST_S = 60.0  # the last notice after the last kill: a lease runs out, and a step of the schedule
BASE_S = 0.01  # an hour of the schedule is seven seconds
DOWN_S = 1.0


@dataclass
class Hearer:
    """The receiver of notices, which dies and comes back at one address."""

    system: System
    port: int
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, system: System, port: int) -> "Hearer":
        return cls(system, port, start_receiver(port, system.folder / "heard", SECRET_TEXT))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def come_back(self) -> None:
        if self.process.poll() is not None:
            self.process = start_receiver(self.port, self.system.folder / "heard", SECRET_TEXT)

    def received(self) -> list[dict[str, Any]]:
        return read_received(self.system.folder / "heard")

    def heard_of(self) -> set[str]:
        """The batches whose end was told and verified."""
        return {one["data"]["batch"] for one in self.received() if "data" in one}


def kill(who: str, system: System, hearer: Hearer, generator: random.Random) -> bool:
    """A worker or its work-horse, the web process, or the receiver. False where nobody was there."""
    if who == "worker":
        return bool(kill_somebody(system, generator))
    if who == "receiver":
        hearer.kill()
        time.sleep(DOWN_S * generator.random())
        hearer.come_back()
    elif system.web is not None:
        system.web.kill()
        system.web.wait()
        system.start_web()
    return True


def storm(
    system: System, hearer: Hearer, events: int, kills: int, generator: random.Random
) -> list[str]:
    """Add batches and kill meanwhile. Gives who was hit."""
    hit: list[str] = []
    for added in add_steadily(system, events, per_s=PER_S):
        keep_dying_workers(system, 2)
        who = VICTIMS[len(hit) % len(VICTIMS)]
        if len(hit) < kills * added / events and kill(who, system, hearer, generator):
            hit.append(who)
    return hit


def end_badly(system: System, source: Path, who: str) -> set[str]:
    """Batches that fail, that nobody knows, and that kill their worker where the news could fall between.

    Gives those that nobody knows.
    """
    for state in ("FAILED", "EXPIRED", "CANCELLED"):
        ready_batch(system.gemini_url, state=state, request_count=1)
    for point in POINTS:
        identity = f"s{system.seed}-at-{point}-{who}"
        ready_batch(
            system.gemini_url, id=identity, result_path=str(source), request_count=FILE_ROWS
        )
    unknown = {f"batches/s{system.seed}nosuch{number}" for number in range(3)}
    with connect(system.redis_url) as client:
        Inbox(client).accept([Arrival(name, "batch.succeeded", "replay") for name in unknown])
    return unknown


def wait_for_news(system: System, hearer: Hearer, expected: set[str]) -> float:
    """Until all was heard of, or it takes too long. Gives the seconds it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < 2 * LATEST_S and expected - hearer.heard_of():
        system.replace_ended_workers()
        time.sleep(0.1)
    return time.monotonic() - begun


def judge_news(report: Report, system: System, hearer: Hearer, expected: set[str]) -> None:
    received, unheard = hearer.received(), sorted(expected - hearer.heard_of())
    refused = sum("refused" in one for one in received)
    with connect(system.redis_url) as client:
        dead = sum(one.state == "dead" for one in Outbox(client).listing())
    again = len(received) - len({one.get("id") for one in received})
    report.note(
        batches=len(expected),
        received=len(received),
        again=again,
        unheard=len(unheard),
        refused=refused,
        dead=dead,
    )
    report.hold(f"every end was heard of, also {unheard[:5]}", not unheard)
    report.hold("every notice was verified", not refused)
    report.hold("no notice was given up", not dead)


def notices(options: Options) -> Report:
    """Every batch that ended is heard of at least once, whoever dies; what is heard is verified."""
    events, generator = options.size(300, 16), random.Random(options.seed)
    report, port = Report("Notices", options.seed), allocate_port()
    told = {
        "NOTIFY_URL": f"http://127.0.0.1:{port}/notices",
        "NOTIFY_SECRET": SECRET_TEXT,
        "NOTIFY_PRIVATE": "true",
        "NOTIFY_RETRY_BASE_S": str(BASE_S),
        "OUTAGE_PATIENCE_S": "7",  # a batch that nobody knows is given up after a second of refusals
    }
    with (
        running_system(options.folder, options.seed, settings=told) as system,
        Watcher(system.outputs) as watcher,
    ):
        source = prepare(system)
        keep_dying_workers(system, 2)
        hearer = Hearer.start(system, port)
        unknown = end_badly(system, source, "horse" if options.short else "both")
        hit = storm(system, hearer, events, max(len(VICTIMS), events // 10), generator)
        expected = {batch["name"] for batch in ledger(system)["batches"]} | unknown
        last_s = wait_for_news(system, hearer, expected)
        report.note(
            kills=len(hit), **{f"of_{who}": hit.count(who) for who in dict.fromkeys(VICTIMS)}
        )
        judge_news(report, system, hearer, expected)
        report.note(last=f"{last_s:.1f} s after the last kill")
        report.judge(judge(system, watcher))
        stop(hearer.process)
    report.hold_time(f"the last one is heard within {LATEST_S:.0f} s", last_s <= LATEST_S)
    return report
