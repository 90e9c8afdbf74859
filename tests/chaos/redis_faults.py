"""Redis goes away, says nothing, forgets everything."""

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import redis

from tests.chaos.batches import (
    add_batches,
    add_steadily,
    batch_id,
    count_stored,
    ledger,
    wait_for_stored,
)
from tests.chaos.checker import Watcher, judge
from tests.chaos.posts import Answer, post
from tests.chaos.report import Options, Report
from tests.chaos.system import System, running_system
from tests.running import set_faults
from tests.waiting import eventually

PER_S = 10
INTERVAL_S = 10


def judge_refusals(report: Report, answers: list[Answer]) -> None:
    """What a sender must see while Redis is away."""
    slowest = max(answer.seconds for answer in answers)
    report.note(refused=len(answers), slowest_refusal=f"{slowest:.1f} s")
    report.hold(
        "503 with Retry-After, never a false 2xx",
        all((one.status, one.retry_after) == (503, "5") for one in answers),
    )
    report.hold_time("answers within 3 s", slowest <= 3)


def absence(options: Options) -> Report:
    """Redis is killed for 3, 20 and 120 s (3 s in the short form) in the middle of the work."""
    report = Report("Redis away", options.seed)
    for pause_s in (3,) if options.short else (3, 20, 120):
        folder = options.folder / str(pause_s)
        with (
            running_system(folder, options.seed, workers=2) as system,
            Watcher(system.outputs) as watcher,
        ):
            _be_away(system, report, pause_s, options.size(60, 30))
            report.judge(judge(system, watcher))
    return report


def _be_away(system: System, report: Report, pause_s: int, events: int) -> None:
    wait_for_stored(system, add_batches(system, [events]), 60)  # the workers have started
    for added in add_steadily(system, events, PER_S):
        if added >= events // 2:
            break
    system.kill_valkey()
    end = time.monotonic() + pause_s
    answers: list[Answer] = []
    while time.monotonic() < end:
        answers.append(
            post(system, f"batches/{batch_id(system.seed, 0)}", f"msg_away_{len(answers)}")
        )
        time.sleep(0.3)
    judge_refusals(report, answers)
    before = count_stored(system)
    system.start_valkey()
    begun = time.monotonic()
    fresh = add_batches(system, [events + 1])
    eventually(lambda: count_stored(system) > before, 60, "the first batch after Redis' return")
    resumed_s = time.monotonic() - begun
    report.note(**{f"away_{pause_s}_s": f"resumed after {resumed_s:.1f} s"})
    report.hold_time("workers resume within 15 s", resumed_s <= 15)
    accepted = [one["batch"] for one in ledger(system)["deliveries"] if one["accepted"]]
    wait_for_stored(system, [*accepted, *fresh], 60)
    report.hold("no worker ended", not system.replace_ended_workers())
    add_batches(system, range(events // 2 + PER_S, events))
    system.replay()  # the stand-in's courier backs off for minutes, as Gemini's does
    with suppress(TimeoutError):
        wait_for_stored(system, [one["name"] for one in ledger(system)["batches"]], 60)


def black_hole(options: Options) -> Report:
    """Redis takes connections and never answers."""
    report = Report("Redis silent", options.seed)
    # Calls whose senders have gone run together once Redis goes on; the model explains one at a time.
    unrecorded = "several calls run unseen at once"
    with (
        running_system(options.folder, options.seed, workers=1, unrecorded=unrecorded) as system,
        Watcher(system.outputs) as watcher,
    ):
        names = add_batches(system, range(10))
        wait_for_stored(system, names, 60)
        assert system.valkey is not None
        system.valkey.send_signal(signal.SIGSTOP)
        with ThreadPoolExecutor(20) as pool, httpx.Client(trust_env=False) as client:
            posts = [
                pool.submit(post, system, names[0], f"msg_hole_{number}") for number in range(40)
            ]
            seconds = []
            while not all(one.done() for one in posts):
                begun = time.monotonic()
                assert client.get(f"{system.web_url}/health").status_code == 200
                seconds.append(time.monotonic() - begun)
                time.sleep(0.05)
            begun = time.monotonic()
            ready = client.get(f"{system.web_url}/ready", timeout=10).status_code
            report.hold("/ready says no", ready == 503)
            report.hold_time("/ready says no within 3 s", time.monotonic() - begun <= 3)
        judge_refusals(report, [one.result() for one in posts])
        report.note(health_asked=len(seconds), slowest_health=f"{max(seconds) * 1000:.0f} ms")
        report.hold_time("other endpoints answer within 200 ms", max(seconds) <= 0.2)
        system.valkey.send_signal(signal.SIGCONT)
        begun = time.monotonic()
        wait_for_stored(system, add_batches(system, range(10, 20)), 60)
        report.note(resumed=f"{time.monotonic() - begun:.1f} s")
        report.hold("no worker ended", not system.replace_ended_workers())
        report.judge(judge(system, watcher))
    return report


def wipe(options: Options) -> Report:
    """Redis is emptied; a replay restores what was open and redoes nothing."""
    report = Report("Redis wiped", options.seed)
    stored, still_open = options.size(500, 20), options.size(500, 20) * 2 // 5
    with (
        running_system(options.folder, options.seed, workers=2) as system,
        Watcher(system.outputs) as watcher,
    ):
        wait_for_stored(system, add_batches(system, range(stored)), 300)
        for worker in system.workers:
            worker.terminate()
        for worker in system.workers:
            worker.wait(20)
        system.workers = []
        names = add_batches(system, range(stored, stored + still_open))
        eventually(
            lambda: all(one["accepted"] for one in ledger(system)["deliveries"]),
            60,
            "the deliveries",
        )
        with redis.Redis.from_url(system.redis_url) as client:
            client.flushall()
        result = system.command("replay")
        found = re.match(r"(\d+) found, (\d+) already stored, (\d+) queued", result.stdout)
        queued = int(found[3]) if found else 0
        for _ in range(2):
            system.start_worker()
        wait_for_stored(system, names, 300)
        done_again = sum(line.get("event") == "batch.already_stored" for line in system.log_of())
        report.note(stored=stored, open=still_open, queued_again=queued, redone=done_again)
        report.hold("exactly the open ones are restored", queued == still_open)
        report.judge(judge(system, watcher))
    return report


def missed(options: Options) -> Report:
    """A quarter of the deliveries is never sent; the looks at Gemini's list find it and count it."""
    report = Report("missed webhooks", options.seed)
    events = options.size(200, 20)
    looks = {"RECONCILE_INTERVAL_S": str(INTERVAL_S)}
    with (
        running_system(options.folder, options.seed, workers=2, settings=looks) as system,
        Watcher(system.outputs) as watcher,
    ):
        eventually(
            lambda: looked(system), 60, "the first look"
        )  # it takes what it finds: Redis may have been wiped
        set_faults(system.gemini_url, drop_deliveries=events // 4)
        names = add_batches(system, range(events))
        begun = time.monotonic()
        told = [one["batch"] for one in ledger(system)["deliveries"] if not one["dropped"]]
        wait_for_stored(system, told, 200)
        wait_for_stored(system, names, 4 * INTERVAL_S + 60)
        within_s = time.monotonic() - begun
        counted = sum(
            line["batches"] for line in looked(system) if line["event"] == "reconcile.missed"
        )
        report.note(events=events, never_sent=events - len(told), counted_as_missed=counted)
        report.note(interval=f"{INTERVAL_S} s", all_stored_within=f"{within_s:.1f} s")
        report.hold("each is counted as missed", counted == events - len(told))
        report.hold("two intervals are enough", within_s <= max(2, events * 0.2) + 2 * INTERVAL_S)
        report.judge(judge(system, watcher))
    return report


def looked(system: System) -> list[dict[str, Any]]:
    """What the looks at Gemini's list have logged so far."""
    lines = [*system.log_of("web"), *system.log_of("worker")]
    return [line for line in lines if line.get("event") in {"reconcile.done", "reconcile.missed"}]
