"""The same batch through every door."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests import nasty
from tests.chaos.batches import add_batches, batch_id, ledger, wait_for_stored
from tests.chaos.checker import Watcher, judge
from tests.chaos.clocks import restart_valkey_at
from tests.chaos.posts import post
from tests.chaos.report import Options, Report
from tests.chaos.system import System, running_system
from tests.running import ready_batch
from tests.waiting import eventually

EVENTS = ("batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired")
ENDING: dict[str, object] = {"error": {"code": 13, "message": "it ended so"}}
LATER = {"1 h": "+1h", "25 h": "+25h", "7 days": "+7d"}


def stored_lines(system: System, name: str) -> int:
    """How often a worker worked on the batch to the end."""
    ends = {"batch.stored", "batch.already_stored"}
    return sum(line.get("batch") == name and line.get("event") in ends for line in system.log_of())


def duplicates(options: Options) -> Report:
    """One webhook-id, posted many times at once. Then the same id an hour, a day and a week later."""
    report = Report("duplicates", options.seed)
    posts = options.size(500, 100)
    with (
        running_system(options.folder, options.seed, workers=2) as system,
        Watcher(system.outputs) as watcher,
    ):
        name = add_batches(system, [0], notify=False)[0]
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: post(system, name, "msg_same"), range(posts)))
        wait_for_stored(system, [name], 60)
        statuses = sorted({one.status for one in answers})
        report.note(
            posts=posts, statuses=statuses, accepted=sum(one.status == 202 for one in answers)
        )
        report.hold("every post gets a 2xx", all(200 <= status < 300 for status in statuses))
        later = [post_later(system, name, offset) for offset in LATER.values()]
        report.note(**{f"after {text}": status for text, status in zip(LATER, later, strict=True)})
        report.hold("later ones are known", later == [200, 200, 200])
        time.sleep(1)  # whatever they would have started had its time
        report.note(processed=stored_lines(system, name))
        report.hold("one processing", stored_lines(system, name) == 1)
        report.judge(judge(system, watcher))
    return report


def post_later(system: System, name: str, offset: str) -> int:
    """Post the same id again at a Redis whose clock is ahead: that is where an id's life is counted."""
    restart_valkey_at(system, offset)

    def first_verdict() -> int:
        status = post(system, name, "msg_same").status
        return status if status in {200, 202} else 0

    return eventually(first_verdict, 30, "an answer at a later time")


def every_door(options: Options) -> Report:
    """A batch through static and dynamic webhooks, redelivery, replay and a second announcement, all at once."""
    report = Report("every source", options.seed)
    count = options.size(60, 20)
    with (
        running_system(options.folder, options.seed, workers=3) as system,
        Watcher(system.outputs) as watcher,
    ):
        hook = {"uris": [system.webhook_url], "user_metadata": {"who": "chaos"}}
        with ThreadPoolExecutor(8) as pool:
            replays = [pool.submit(system.replay) for _ in range(2)]
            names = add_batches(system, range(count), webhook_config=hook)  # dynamic
            static = [
                pool.submit(post, system, name, f"msg_{turn}_{name[8:]}")
                for name in names
                for turn in range(2)
            ]
            replays.append(pool.submit(system.replay))
            for one in replays:
                one.result()
            for other in static:
                other.result()
        wait_for_stored(system, names, 120)
        arrivals = 3 * count + 3
        sets = sum(line.get("event") == "batch.stored" for line in system.log_of())
        report.note(batches=count, arrivals=f"over {arrivals}", committed_sets=sets)
        report.hold("one committed set a batch", sets == count)
        report.judge(judge(system, watcher))
    return report


def orders() -> Iterator[tuple[str, ...]]:
    for length in (1, 2, 3, 4):
        yield from itertools.permutations(EVENTS, length)


def every_order(options: Options) -> Report:
    """Events in every order, most of them false; the end state is the API's."""
    report = Report("every order", options.seed)
    chosen = [order for order in orders() if len(order) == 4 or not options.short]
    with (
        running_system(options.folder, options.seed, workers=2) as system,
        Watcher(system.outputs) as watcher,
    ):
        names = []
        for number, order in enumerate(chosen):
            state = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")[number % 4]
            identity = batch_id(options.seed, number)
            rows = [json.loads(nasty.answer("one"))]
            answered: dict[str, object] = {
                "output": {"inlinedResponses": {"inlinedResponses": rows}},
                "request_count": 1,
            }
            content: dict[str, object] = answered if state == "SUCCEEDED" else ENDING
            name = ready_batch(system.gemini_url, id=identity, state=state, notify=False, **content)
            names.append(name)
            for event in order:
                report.hold(
                    "2xx",
                    post(system, name, f"msg_{identity}_{event[6:]}", event).status in {200, 202},
                )
        wait_for_stored(system, names, 120)
        report.note(orders=len(chosen), ended_as_the_API_says=len(names))
        assert len(ledger(system)["batches"]) == len(names)
        report.judge(judge(system, watcher))  # a clean run holds what the API says
    return report
