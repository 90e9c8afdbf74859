"""Kills everybody who has to do with submissions, and asks whether each request has its end, and was paid for once."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import redis

from deploy.sandbox.processes import start
from receiver.batch_names import SubmissionName
from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import connect
from receiver.submissions.ledger_entry import accept_submission
from tests.chaos.checker import Watcher
from tests.chaos.report import Options, Report
from tests.chaos.storms import kill_somebody
from tests.chaos.submission_books import Books, judge_submissions
from tests.chaos.submission_requests import make_requests
from tests.chaos.system import System, running_system
from tests.waiting import eventually

MODEL = "gemini-3.5-flash"
PER_PART = 10
TOKENS = 900  # that may be enqueued: of some parts, so that the others have to wait
OVERDUE_S, RESCUE_S = 4.0, 8.0
LATEST_S = 240.0  # the last submission after the last kill
CAPPED_EVERY = 5  # of so many submissions, one may cost only what two of its parts may
DAILY_CAP = Decimal(1)
SETTINGS = {
    "RECONCILE_INTERVAL_S": "10",  # what brings back what a wiped Redis forgot
    "ENQUEUED_TOKENS": f"{MODEL}={TOKENS}",
    "DAILY_COST_CAP": f"{DAILY_CAP}",
}
WORKERS = 3


@dataclass
class Storm:
    """What is submitted and who is killed, in the order that the seed gives."""

    system: System
    options: Options
    kills: int
    submissions: int
    parts: int
    hit: list[str] = field(default_factory=list)
    books: list[Books] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generator = random.Random(self.options.seed)

    def run(self, wipes: int) -> None:
        """Submit one after the other, and kill meanwhile; Redis forgets everything `wipes` times."""
        wipe_at = {self.kills * (one + 1) // (wipes + 1) for one in range(wipes)}
        each = max(1, self.kills * 2 // 3 // self.submissions)
        waiting = iter(range(self.submissions))
        while len(self.hit) < self.kills:
            before = len(self.hit)
            if before % each == 0 and (number := next(waiting, None)) is not None:
                self._submit(number)
            self.system.replace_ended_workers()
            time.sleep(self.generator.uniform(0.2, 1.2))
            self._kill()
            if wipe_at & set(range(before + 1, len(self.hit) + 1)):
                wipe(self.system)
        for number in waiting:
            self._submit(number)

    def _kill(self) -> None:
        who = self.generator.choices(["worker", "web", "valkey"], [7, 2, 1])[0]
        if who == "worker":
            self.hit += filter(None, [kill_somebody(self.system, self.generator)])
            return
        if who == "web" and self.system.web is not None:
            self.system.web.kill()
            self.system.web.wait()
            self.system.start_web()
        else:
            self.system.kill_valkey()
            self.system.start_valkey()
        self.hit.append(who)

    def _submit(self, number: int) -> None:
        """Run the command until it comes through; the first try is killed on its way."""
        asked = make_requests(self.options.seed, number, self.parts, PER_PART)
        path = asked.write(self.system.folder / f"requests-{number}.jsonl")
        options = self._policy(number)
        begun = self.start_submit(path, options)
        time.sleep(self.generator.uniform(0.3, 2.5))
        if begun.poll() is None:
            begun.kill()
            self.hit.append("submit")
        begun.wait()
        said = eventually(lambda: self._try_submit(path, options), 90, "the submission")
        path.unlink()
        hasten(self.system, said)
        self.books.append(Books(said, asked, is_capped=self._is_capped(number)))

    def start_submit(self, path: Path, options: list[str]) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-m", "workers", "batches", "submit", str(path), *options]
        with (self.system.folder / "submit.log").open("ab") as log:
            return start(argv, env=self.system.environment, stdout=log)

    def _try_submit(self, path: Path, options: list[str]) -> str:
        """Gives the submission's id; empty where something was away."""
        done = self.system.command("batches", "submit", str(path), *options)
        if done.returncode:
            return ""
        found: str = json.loads(done.stdout)["submission"]
        return found.rpartition("/")[2]

    def _policy(self, number: int) -> list[str]:
        shared = ["--model", MODEL, "--max-requests", str(PER_PART), "--json"]
        lane = "flex" if number % 2 else "batch"
        cap = ["--max-cost", f"{self._cap():f}"] if self._is_capped(number) else []
        return [*shared, "--rescue-after", "30h", "--rescue", lane, *cap]

    def _is_capped(self, number: int) -> bool:
        return number % CAPPED_EVERY == CAPPED_EVERY - 1

    def _cap(self) -> Decimal:
        """What two parts of the first submission may cost at most, and a little more."""
        plan = json.loads((self.books[0].folder(self.system) / "plan.json").read_bytes())
        costs = [Decimal(part["most_cost"]) for part in plan["parts"]]
        return (sum(costs[:2], Decimal(0)) * Decimal("1.2")).quantize(Decimal("0.000001"))


def hasten(system: System, submission: str) -> None:
    """Let hours of its policy pass in seconds, and have a worker look at it again."""
    path = system.outputs / "_submissions" / submission / "policy.json"
    policy = json.loads(path.read_bytes()) | {"overdue_s": OVERDUE_S, "rescue_after_s": RESCUE_S}
    fresh = path.with_suffix(".fresh")
    fresh.write_text(json.dumps(policy))
    fresh.rename(path)

    def accept() -> bool:
        try:
            with connect(system.redis_url) as client:
                accept_submission(client, SubmissionName("", submission))
        except (InboxUnavailableError, redis.RedisError):
            return False
        return True

    eventually(accept, 30, "Redis")


def wipe(system: System) -> None:
    with redis.Redis.from_url(system.redis_url) as client:
        client.flushall()


def wait_for_ends(system: System, books: list[Books]) -> float:
    """Until every submission has ended, or it takes too long. Gives the seconds it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < 2 * LATEST_S:
        system.replace_ended_workers()
        if all(one.has_ended(system) for one in books):
            break
        time.sleep(0.5)
    return time.monotonic() - begun


def gemini_of(options: Options) -> Iterator[str]:
    yield from ("--payments", "--enqueued-tokens", str(2 * TOKENS))
    yield from ("--lost-creates", "503,times=all,share=0.1")
    yield from ("--generate-status", "503,times=all,share=0.3", "--delay-answers-s", "0.8")
    if not options.short:  # a refusal is waited out for a minute at least
        yield from ("--create-status", "429,times=all,share=0.04")


def submissions(options: Options) -> Report:
    """Every request has its end, whoever dies; batches are created as planned, and nothing is paid for twice."""
    report = Report("submissions", options.seed)
    count, parts = options.size(20, 3), 2 if options.short else 3
    kills, wipes = (6, 1) if options.short else (3 * count, 2)
    with (
        running_system(
            options.folder,
            options.seed,
            workers=WORKERS,
            settings=SETTINGS,
            gemini=tuple(gemini_of(options)),
        ) as system,
        Watcher(system.outputs) as watcher,
    ):
        storm = Storm(system, options, kills, count, parts)
        storm.run(wipes)
        last_s = wait_for_ends(system, storm.books)
        about = {f"of_{who}": storm.hit.count(who) for who in sorted(set(storm.hit))}
        report.note(submissions=count, parts=parts, kills=len(storm.hit), **about, wipes=wipes)
        judge_submissions(report, system, storm.books, DAILY_CAP)
        report.hold(f"no manifest changed, also {watcher.changed()[:3]}", not watcher.changed())
        report.hold(f"no manifest was torn, also {watcher.torn[:3]}", not watcher.torn)
    report.note(last=f"{last_s:.1f} s after the last kill")
    report.hold_time(f"the last one ends within {LATEST_S:.0f} s", last_s <= LATEST_S)
    return report
