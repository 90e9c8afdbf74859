"""What Redis must be, what it may forget, what is given up, and what stays in it."""

import json
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import redis

from deploy.sandbox.processes import allocate_port
from receiver.inbox.entry_fields import Summary
from receiver.inbox.job_queue import QUEUE, open_queue
from receiver.inbox.ledger import Inbox
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from tests.chaos.batches import (
    ROWS,
    add_steadily,
    batch_id,
    is_stored,
    ledger,
    output_of,
    wait_for_stored,
)
from tests.chaos.checker import Watcher, judge
from tests.chaos.clocks import restart_valkey_at
from tests.chaos.posts import post
from tests.chaos.report import Options, Report
from tests.chaos.soak import memory_kib
from tests.chaos.system import System, other_clock, running_system
from tests.lasting_keys import OURS, RQ, lasting_keys
from tests.running import ready_batch
from tests.waiting import eventually

EVICTING = ("allkeys-lru", "allkeys-lfu", "allkeys-random")
FLAT = 1.1
POSTERS = 8
PER_S = 10


def unfit(options: Options) -> Report:
    """What evicts is refused by both processes; the rest is warned of, with the fix."""
    report = Report("unfit Redis", options.seed)
    with (
        running_system(options.folder, options.seed) as system,
        redis.Redis.from_url(system.redis_url) as client,
    ):
        refused = 0
        for policy in EVICTING:
            client.config_set("maxmemory-policy", policy)
            for command in (("serve", "--port", str(allocate_port())), ("worker",)):
                done = system.command(*command, timeout_s=30)
                refused += done.returncode == 1 and "maxmemory-policy noeviction" in done.stderr
        report.note(refused=f"{refused} of {2 * len(EVICTING)} starts")
        report.hold("every start is refused", refused == 2 * len(EVICTING))
        client.config_set("maxmemory-policy", "volatile-lru")
        client.config_set("appendonly", "no")
        client.hset("rq:job:foreign", mapping={"data": pickle.dumps(None)})
        client.rpush(f"rq:queue:{QUEUE}", "foreign")
        system.settings |= other_clock("+60s")
        said = system.command("doctor").stdout
        wanted = (
            "maxmemory-policy noeviction",
            "appendonly yes",
            "by NTP",
            "a Redis database of its own",
        )
        fixes = [fix for fix in wanted if fix in said]
        report.note(fixes_named=f"{len(fixes)} of {len(wanted)}")
        report.hold(f"every fix is named: {said}", len(fixes) == len(wanted))
    return report


def flip_statuses(url: str, generator: random.Random, ended: threading.Event) -> int:
    """Write nonsense into RQ's books until `ended`. Gives how often."""
    flips = 0
    with redis.Redis.from_url(url) as client:
        while not ended.wait(0.02):
            for key in client.scan_iter("rq:job:*", count=1000):
                status = generator.choice(
                    ["failed", "finished", "canceled", "started", "stopped", None]
                )
                if status is None:
                    client.delete(key)
                elif client.exists(key):
                    client.hset(key, "status", status)
                flips += 1
    return flips


def flips(options: Options) -> Report:
    """RQ's status of a job decides nothing."""
    report = Report("RQ's status", options.seed)
    events, ended = options.size(300, 30), threading.Event()
    with (
        running_system(options.folder, options.seed, workers=2) as system,
        Watcher(system.outputs) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        flipping = pool.submit(flip_statuses, system.redis_url, random.Random(options.seed), ended)
        for _ in add_steadily(system, events, PER_S):
            pass
        names = [one["name"] for one in ledger(system)["batches"]]
        with suppress(TimeoutError):
            wait_for_stored(system, names, 120)
        ended.set()
        report.note(events=events, flips=flipping.result())
        report.hold("many were flipped", flipping.result() >= events / 2)
        report.judge(judge(system, watcher))
    return report


def count_buried(system: System) -> int:
    """What `listed` would list, without the processor time that a command takes from the burials."""
    with connect(system.redis_url) as client:
        return len(InboxQueries(client).names("buried"))


def listed(system: System) -> list[str]:
    found = json.loads(
        system.command("inbox", "list", "--state", "buried", "--limit", "10000", "--json").stdout
    )
    return sorted(one["batch"] for one in found)


def buried(options: Options) -> Report:
    """What was given up is listed, survives Redis' end, is done once its cause is gone, and can be purged."""
    report = Report("buried", options.seed)
    count = options.size(100, 10)
    impatient = {"OUTAGE_PATIENCE_S": "7"}
    with (
        running_system(options.folder, options.seed, workers=2, settings=impatient) as system,
        Watcher(system.outputs) as watcher,
    ):
        names = [f"batches/{batch_id(options.seed, number)}" for number in range(count)]
        for name in names:  # Gemini knows none of them yet
            report.hold("2xx", post(system, name, f"msg_{name[8:]}").status == 202)
        eventually(lambda: count_buried(system) == count, 120, "the burials")
        report.hold("all are listed", listed(system) == names)
        system.kill_valkey()
        system.start_valkey()
        after_restart = listed(system)
        report.note(buried=count, after_restart=len(after_restart))
        report.hold("all survive a restart", after_restart == names)
        shown = json.loads(system.command("inbox", "show", names[0], "--json").stdout)
        report.hold("the cause is shown", "Gemini knows no" in shown["cause"])
        mended = names[: count // 2]
        for number, name in enumerate(mended):
            output = output_of(options.seed, number)
            ready_batch(
                system.gemini_url, id=name[8:], output=output, request_count=ROWS, notify=False
            )
        retried = system.command("inbox", "retry", *mended)
        wait_for_stored(system, mended, 60)
        report.note(
            retried=retried.stdout.strip(), stored=sum(is_stored(system, name) for name in mended)
        )
        purged = system.command("inbox", "purge", "--buried", "--yes")
        report.note(purged=purged.stdout.strip(), left=len(listed(system)))
        report.hold("nothing is left", listed(system) == [])
        report.judge(judge(system, watcher, mended))
    return report


def deliver(system: System, name: str) -> int:
    """Send until it is taken, as Gemini does. Gives how often it was not."""
    for refusals in range(5):
        if post(system, name, f"msg_{name[8:]}").status in {200, 202}:
            return refusals
    raise RuntimeError(f"{name} was never taken")


def push_through(system: System, numbers: range) -> int:
    """Deliver events over HTTP and settle them as a worker does. Gives how often a delivery was sent again."""
    names = [f"batches/{batch_id(system.seed, number)}" for number in numbers]
    with ThreadPoolExecutor(POSTERS) as pool:
        again = sum(pool.map(lambda name: deliver(system, name), names))
    with connect(system.redis_url) as client:
        inbox = Inbox(client)
        open_queue(client).empty()  # type: ignore[no-untyped-call] # what rang for them; RQ's, without types
        for name in names:
            lease = inbox.claim(name)
            if lease is not None:
                inbox.finish(lease, Summary(outcomes={"ok": ROWS}))
    return again


def growth(options: Options) -> Report:
    """Half of the events, nine days later the other half: memory as before, and no key without an end."""
    report = Report("growth", options.seed)
    events = options.size(100_000, 600)
    with running_system(options.folder, options.seed) as system:
        assert system.web is not None
        sizes: list[tuple[int, int]] = []
        again = 0
        for half in (range(events // 2), range(events // 2, events)):
            if half.start:
                restart_valkey_at(system, "+9d")
                with redis.Redis.from_url(system.redis_url) as client:
                    eventually(
                        lambda: next(client.scan_iter("gbr:entry:*"), None) is None,
                        120,
                        "the expiries",
                    )
            again += push_through(system, half)
            with redis.Redis.from_url(system.redis_url) as client:
                client.memory_purge()
                sizes.append(
                    (client.info("memory")["used_memory"] // 1024, memory_kib(system.web.pid))
                )
                lasting = lasting_keys(client)
        (redis_before, web_before), (redis_after, web_after) = sizes
        report.note(events=events, sent_again=again, redis_KiB=f"{redis_before} then {redis_after}")
        report.note(web_KiB=f"{web_before} then {web_after}", lasting_keys=len(lasting))
    report.hold(
        f"nothing lasts but what is listed: {sorted(lasting - OURS - RQ)}", lasting <= OURS | RQ
    )
    report.hold_time("Redis' memory is flat", redis_after <= FLAT * redis_before)
    report.hold_time("the web process's memory is flat", web_after <= FLAT * web_before)
    return report
