"""Two Gemini projects behind one web process and one worker: two stand-ins, each seen by its own key alone."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis

from receiver.inbox.ledger import Inbox
from receiver.verification.keys import Secret
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of, run, running_service
from tests.commands import invoke
from tests.key_router import KeyRouter, routing_keys
from tests.receiver import forging
from tests.running import (
    CLIENT,
    ready_batch,
    register_webhook,
    running_sandbox,
    set_faults,
    submit_inline,
)
from tests.waiting import eventually

DEFAULT_PATH, ACME_PATH = "/webhooks/gemini", "/webhooks/gemini/acme"


@dataclass(frozen=True)
class Projects:
    """The default project at `world.gemini_url`, `acme` at `acme_url`."""

    world: World
    acme_url: str
    router: KeyRouter
    settings: dict[str, str]

    def deliver(self, path: str, secret: str, batch: str) -> int:
        """Post an event of our own, signed with the secret of a setting. Gives the status."""
        body = json.dumps({"type": "batch.succeeded", "data": {"id": batch}}).encode()
        now, name = int(time.time()), f"msg_{time.monotonic_ns()}"
        entry = forging.static_entry(
            Secret.parse(self.settings[secret]).key, forging.signed_bytes(body, now, name)
        )
        headers = forging.headers(entry, now, name) | {"content-type": "application/json"}
        return CLIENT.post(self.world.web_url + path, headers=headers, content=body).status_code


@pytest.fixture(scope="module")
def acme_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("acme")
    with running_sandbox(folder, "--pending", "0.05", "--running", "0.05") as url:
        yield url


@pytest.fixture
def projects(world: World, acme_url: str) -> Iterator[Projects]:
    CLIENT.delete(f"{acme_url}/sandbox/state").raise_for_status()
    with routing_keys({"key-default": world.gemini_url, "key-acme": acme_url}) as router:
        settings = world.settings | {
            "GEMINI_BASE_URL": router.url,
            "GEMINI_API_KEY": "key-default",
            "GEMINI_API_KEY__ACME": "key-acme",
            "GEMINI_WEBHOOK_SECRET__ACME": register_webhook(
                acme_url, f"{world.web_url}{ACME_PATH}"
            ),
        }
        yield Projects(world, acme_url, router, settings)


def test_batches_of_both_projects_are_stored(projects: Projects) -> None:
    world = projects.world
    with running_service(world, projects.settings):
        ours = submit_inline(world.gemini_url, {"one": "Hello"})
        theirs = submit_inline(projects.acme_url, {"two": "Hello"})
        assert "project" not in manifest_of(world, ours)
        assert manifest_of(world, theirs)["project"] == "acme"
        with redis.Redis.from_url(world.redis_url) as client:
            eventually(lambda: client.zcard("gbr:done") == 2)
    asked = {(key, path) for key, path in projects.router.calls if "batches/" in path}
    assert {key for key, path in asked if ours in path} == {"key-default"}
    assert {key for key, path in asked if theirs in path} == {"key-acme"}
    listed = json.loads(run(projects.settings, "inbox", "list", "--json").stdout)
    assert {(one["batch"], one["project"]) for one in listed} == {
        (ours, ""),
        (f"acme/{theirs}", "acme"),
    }
    shown = run(projects.settings, "batches", "show", f"acme/{theirs}")
    assert (shown.returncode, "project   acme\n" in shown.stdout) == (0, True)
    assert run(projects.settings, "verify", ours, f"acme/{theirs}").returncode == 0


def test_no_event_steers_anothers_batch(projects: Projects) -> None:
    """Acme's event names the default project's batch: before that one's own event, and after it is stored."""
    world = projects.world
    set_faults(world.gemini_url, drop_deliveries="all")
    settings = projects.settings | {"OUTAGE_PATIENCE_S": "7"}
    with running_service(world, settings), redis.Redis.from_url(world.redis_url) as client:
        ours = submit_inline(world.gemini_url, {"one": "Hello"})
        assert projects.deliver(ACME_PATH, "GEMINI_WEBHOOK_SECRET__ACME", ours) == 202
        eventually(lambda: client.zscore("gbr:buried", f"acme/{ours}"), 20, "the burial")
        entry = Inbox(client).entries([f"acme/{ours}"])[f"acme/{ours}"]
        assert f"Gemini knows no {ours} for this API key" in entry.cause
        assert projects.deliver(DEFAULT_PATH, "GEMINI_WEBHOOK_SECRET", ours) == 202
        manifest = manifest_of(world, ours)
        eventually(lambda: Inbox(client).entries([ours])[ours].state == "done")
        before = client.hgetall(f"gbr:entry:{ours}")
        assert projects.deliver(ACME_PATH, "GEMINI_WEBHOOK_SECRET__ACME", ours) == 200
        assert client.hgetall(f"gbr:entry:{ours}") == before
    assert "project" not in manifest


def test_doors_are_not_each_others(projects: Projects) -> None:
    with running_service(projects.world, projects.settings):
        assert projects.deliver(ACME_PATH, "GEMINI_WEBHOOK_SECRET", "batches/x") == 401
        assert projects.deliver(DEFAULT_PATH, "GEMINI_WEBHOOK_SECRET__ACME", "batches/x") == 401
        assert (
            projects.deliver(f"{DEFAULT_PATH}/globex", "GEMINI_WEBHOOK_SECRET", "batches/x") == 404
        )


def test_replay_goes_through_every_project(projects: Projects) -> None:
    world, settings = projects.world, projects.settings
    for url in (world.gemini_url, projects.acme_url):
        set_faults(url, drop_deliveries="all")
    ours, theirs = (
        ready_batch(url, state="EXPIRED") for url in (world.gemini_url, projects.acme_url)
    )
    dry = json.loads(invoke(settings, "replay", "--dry-run", "--json").stdout)
    assert sorted(dry["queued"]) == sorted([ours, f"acme/{theirs}"])
    projects.router.broken.add("key-default")
    broken = invoke(settings, "replay")
    assert (broken.exit_code, broken.stdout) == (1, "1 found, 0 already stored, 1 queued\n")
    assert f"queued acme/{theirs}" in broken.stderr
    assert "Error: default: " in broken.stderr
    projects.router.broken.clear()
    assert invoke(settings, "replay", "--batch", f"acme/{theirs}").stdout == (
        "1 found, 0 already stored, 0 queued, 1 already queued\n"
    )
    assert (
        invoke(settings, "replay", "--project", "default").stdout
        == "1 found, 0 already stored, 1 queued\n"
    )
    wrong = invoke(settings, "replay", "--project", "globex")
    assert (wrong.exit_code, "expected one of default, acme" in wrong.stderr) == (2, True)
    assert run(settings, "worker", "--burst").returncode == 0
    assert invoke(settings, "reconcile").stdout == "2 found, 2 already stored, 0 queued, 0 missed\n"


def test_schedule_looks_at_every_project(projects: Projects) -> None:
    """A project whose key fails keeps no other from being looked at."""
    world, settings = projects.world, projects.settings | {"RECONCILE_INTERVAL_S": "2"}
    set_faults(projects.acme_url, drop_deliveries="all")
    projects.router.broken.add("key-default")
    theirs = ready_batch(projects.acme_url, state="EXPIRED")
    with running_service(world, settings):
        assert manifest_of(world, theirs)["project"] == "acme"


def test_worker_without_the_key_keeps_the_batch(projects: Projects) -> None:
    """A worker of before the project's setting: the batch waits, with the setting's name as its cause."""
    world, settings = projects.world, projects.settings
    set_faults(projects.acme_url, drop_deliveries="all")
    theirs = ready_batch(projects.acme_url, state="EXPIRED")
    assert run(settings, "replay", "--project", "acme").returncode == 0
    old = {name: value for name, value in settings.items() if not name.endswith("__ACME")} | {
        "RETRY_BASE_S": "60"
    }
    assert run(old, "worker", "--burst").returncode == 0
    with redis.Redis.from_url(world.redis_url) as client:
        entry = Inbox(client).entries([f"acme/{theirs}"])[f"acme/{theirs}"]
    assert (entry.state, entry.attempts, entry.outages) == ("open", 0, 1)
    assert "set GEMINI_API_KEY__ACME and restart" in entry.cause
