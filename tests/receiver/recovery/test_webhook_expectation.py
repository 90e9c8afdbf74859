"""Batches of a project without webhooks are not left to them, and are not missed."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from click.testing import CliRunner

from receiver.cli import main
from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import WEB_PROCESSES
from receiver.recovery.scheduler import reconcile_project
from receiver.recovery.webhook_expectation import expects_webhooks
from receiver.settings.settings import Settings, read_settings
from tests.receiver.listing import ago
from tests.receiver.reconciling import Stage, staging

NONE = ServedProject(project="", is_registered=False, faults=[])


@pytest.fixture
def stage(redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    with staging(redis_url, tmp_path.as_uri()) as stage:
        yield stage


def settings(stage: Stage, **more: str) -> Settings:
    environ = {"GEMINI_API_KEY": "right-key", "GEMINI_BASE_URL": stage.url} | more
    return read_settings(environ)


def report(client: "redis.Redis", served: ServedProject, url: str | None = None) -> None:
    seen_ms = client.time()[0] * 1000
    process = WebProcess(host="h", pid=1, url=url, seen_ms=seen_ms, projects=[served])
    client.hset(WEB_PROCESSES, "one", msgspec.json.encode(process))


def expects(stage: Stage, **more: str) -> bool:
    chosen = settings(stage, **more)
    return expects_webhooks(stage.client, chosen, chosen.project(""))


def test_only_a_web_process_that_has_looked_knows_of_none(stage: Stage) -> None:
    assert expects(stage)
    report(stage.client, ServedProject(project=""))
    assert expects(stage)
    report(stage.client, NONE, "https://a.example")
    assert expects(stage)
    report(stage.client, msgspec.structs.replace(NONE, secrets=1))
    assert expects(stage)
    report(stage.client, NONE)
    assert not expects(stage)
    assert expects(stage, PUBLIC_URL="https://a.example")


def test_dynamic_webhooks_are_expected(stage: Stage) -> None:
    report(stage.client, NONE)
    stage.inbox.accept([Arrival("batches/a", "batch.succeeded", "dynamic", "v1a:msg_1")])
    assert expects(stage)


def test_run_by_hand_leaves_nothing_to_webhooks(stage: Stage, tmp_path: Path) -> None:
    env = {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": stage.url,
        "STORAGE_URL": tmp_path.as_uri(),
        "REDIS_URL": stage.redis_url,
    }
    stage.reconcile()
    stage.age_first_run()
    stage.listing.add("fresh", ended=ago(seconds=10))
    result = CliRunner().invoke(main, ["reconcile"], env=env)
    assert result.stdout == "1 found, 0 already stored, 1 queued, 0 missed\n"
    assert stage.missed() == 0


@pytest.mark.parametrize(("is_known", "missed", "young"), [(True, 0, 0), (False, 1, 1)])
def test_nothing_is_missed_where_there_are_no_webhooks(
    stage: Stage, tmp_path: Path, missed: int, young: int, *, is_known: bool
) -> None:
    stage.reconcile()
    stage.age_first_run()
    stage.client.hincrby("gbr:reconcile", "began", -3600 * 1000)  # so that a run is due
    stage.listing.add("fresh", ended=ago(seconds=10))
    old = stage.listing.add("old", ended=ago(minutes=10))
    if is_known:
        report(stage.client, NONE)
    chosen = settings(stage, STORAGE_URL=tmp_path.as_uri())
    found = reconcile_project(chosen, chosen.project(""), stage.client, force=False)
    assert found is not None
    assert (len(found.missed), stage.missed(), found.counts.young) == (missed, missed, young)
    assert Inbox(stage.client).entries([old])
