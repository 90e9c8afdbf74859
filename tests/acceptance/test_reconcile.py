"""Callbacks that never come, and a Redis that forgets: found by the schedule, with every process real."""

import json
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import redis

from receiver.inbox.redis import COUNTERS, RECONCILE
from receiver.recovery.reconcile import MISSED
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of, run
from tests.running import answers, ready_batch, running_program, set_faults, submit_inline
from tests.waiting import eventually

QUICK = {"RECONCILE_INTERVAL_S": "2"}


def missed(client: "redis.Redis") -> int:
    return int(client.hget(COUNTERS, MISSED) or 0)


def has_looked(client: "redis.Redis") -> bool:
    return client.hexists(RECONCILE, "complete")


def test_missed_webhooks_are_found_and_counted(world: World) -> None:
    """Every fourth callback is never delivered."""
    settings = world.settings | QUICK
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(world.redis_url))
        stack.enter_context(running_program(world.folder, settings, "serve"))
        stack.enter_context(running_program(world.folder, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        eventually(lambda: has_looked(client), 20, "the first look")
        batches = []
        for number in range(20):
            if number % 4 == 0:
                set_faults(world.gemini_url, drop_deliveries=1)
            batches.append(ready_batch(world.gemini_url, state="EXPIRED", request_count=1))
            eventually(lambda: faults_of(world)["drop_deliveries"] == 0)
        for name in batches:
            manifest_of(world, name)
        assert missed(client) == 5
        logs = [(world.folder / f"{name}.log").read_text() for name in ("serve", "worker")]
        assert sum(log.count('"event": "reconcile.missed"') for log in logs) >= 1


def faults_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{world.gemini_url}/sandbox/faults").json()
    return found


def test_worker_alone_finds_batches(world: World) -> None:
    """A look runs beside a work-horse's fork; jobs after it must not hang."""
    set_faults(world.gemini_url, drop_deliveries="all")
    first = submit_inline(world.gemini_url, {"one": "Hello"})
    with running_program(world.folder, world.settings | QUICK, "worker"):
        manifest_of(world, first)
        manifest_of(world, submit_inline(world.gemini_url, {"two": "Hello"}))


def test_wiped_redis_is_restored(world: World) -> None:
    settings = world.settings | QUICK
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(world.redis_url))
        stack.enter_context(running_program(world.folder, settings, "serve"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        batches = [ready_batch(world.gemini_url, state="EXPIRED") for _ in range(5)]
        eventually(lambda: client.zcard("gbr:due") == len(batches), 20)
        client.flushall()
        eventually(lambda: client.zcard("gbr:due") == len(batches), 20, "the look after the wipe")
        stack.enter_context(running_program(world.folder, settings, "worker"))
        for name in batches:
            manifest_of(world, name)


def test_command_says_what_it_saw(world: World) -> None:
    settings = world.settings
    set_faults(world.gemini_url, drop_deliveries="all")
    name = ready_batch(world.gemini_url, state="EXPIRED")
    first = run(settings, "reconcile")
    assert (first.returncode, first.stdout) == (
        0,
        "1 found, 0 already stored, 1 queued, 0 missed\n",
    )
    assert (
        run(settings, "reconcile").stdout
        == "1 found, 0 already stored, 0 queued, 0 missed, 1 already queued\n"
    )
    assert run(settings | QUICK, "worker", "--burst").returncode == 0
    again = json.loads(run(settings, "reconcile", "--json").stdout)
    assert (again["counts"]["stored"], again["missed"], again["expiring"]) == (1, [], [])
    assert (
        run(settings | {"RECONCILE_INTERVAL_S": "900"}, "reconcile", "--if-due").stdout
        == "not due yet\n"
    )
    manifest_of(world, name)


def test_command_fails_in_words(world: World) -> None:
    result = run(world.settings | {"GEMINI_BASE_URL": "http://127.0.0.1:9"}, "reconcile")
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert "Error: no answer from Gemini for the list of batches" in result.stderr


@pytest.mark.parametrize("failed", [True, False])
def test_buried_batches_are_replayed(world: World, *, failed: bool) -> None:
    settings = world.settings
    set_faults(world.gemini_url, drop_deliveries="all")
    buried, other = (ready_batch(world.gemini_url, state="EXPIRED") for _ in range(2))
    run(settings, "replay", "--batch", buried)
    with redis.Redis.from_url(world.redis_url) as client:
        client.hset(f"gbr:entry:{buried}", "state", "buried")
        client.zrem("gbr:due", buried)
        client.zadd("gbr:buried", {buried: 1e15})
    result = run(settings, "replay", *(["--failed"] if failed else []), "--until", "2099-01-01")
    assert (f"queued {buried}" in result.stderr, f"queued {other}" in result.stderr) == (
        True,
        not failed,
    )
    assert (
        run(settings, "replay", "--until", "1h").stdout == "0 found, 0 already stored, 0 queued\n"
    )
