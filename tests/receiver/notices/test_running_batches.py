"""Reconcile runs over a list whose batches stay pending or running, with a real Valkey."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis
from click.testing import CliRunner

from receiver.cli import main
from receiver.gemini.batches import Gemini
from receiver.gemini.project_client import ProjectClient
from receiver.inbox.redis import DONE, RUNNING, connect
from receiver.notices.outbox import Notice, Outbox
from receiver.notices.running_batches import RunningNow, find_overdue, read_running
from receiver.notices.slack import encode_text
from receiver.recovery.reconcile import Reconciliation
from receiver.settings.settings import read_settings
from receiver.storage import Storage, open_storage
from receiver.telemetry.metrics.gauges import read_fields
from tests.receiver.listing import Listing, ago, serving

OLD, OLDER = 25.5, 45.5  # hours


@dataclass(frozen=True)
class Stage:
    listing: Listing
    client: "redis.Redis"
    storage: Storage
    url: str
    redis_url: str

    def run(self, project: str = "", targets: tuple[str, ...] = ("target",)) -> RunningNow:
        """One reconcile run, and what is shown after it."""
        with Gemini(self.url, "key") as gemini:
            batches = ProjectClient(gemini, project)
            Reconciliation(self.client, batches, self.storage, 900, targets=targets).run(force=True)
        return self.shown(project)[0]

    def shown(self, project: str = "") -> list[RunningNow]:
        seconds, _ = self.client.time()
        return read_running(self.client, [project], seconds * 1000)

    def add(self, batch_id: str, hours: float | None, state: str = "RUNNING") -> str:
        name = self.listing.add(batch_id, state)
        metadata = self.listing.operations[name]["metadata"] | {"displayName": batch_id}
        metadata["createTime"] = None if hours is None else ago(hours=hours)
        self.listing.operations[name]["metadata"] = {
            key: value for key, value in metadata.items() if value
        }
        return name

    def notices(self) -> list[Notice]:
        return Outbox(self.client).listing()

    def told(self) -> list[tuple[str, int]]:
        return sorted((one.batch, json.loads(one.data)["hours"]) for one in self.notices())


@pytest.fixture
def stage(redis_url: str, storage_url: str) -> Iterator[Stage]:
    listing = Listing()
    with serving(listing) as url, connect(redis_url) as client:
        yield Stage(listing, client, open_storage(storage_url), url, redis_url)


def test_what_has_not_ended_is_shown_by_age(stage: Stage) -> None:
    stage.add("young", 1, "PENDING")
    stage.add("old", OLD)
    stage.add("undated", None)
    stage.listing.add("ended")
    found = stage.run()
    assert [(one.batch, one.state, one.is_overdue) for one in found.batches] == [
        ("batches/old", "RUNNING", True),
        ("batches/young", "PENDING", False),
        ("batches/undated", "RUNNING", False),
    ]
    assert (found.count, found.overdue, found.batches[-1].age_s) == (3, 1, None)
    assert (found.oldest_s or 0) // 3600 == 25


def test_latest_sight_counts(stage: Stage) -> None:
    """The list is late: asked by name, the batch has ended."""
    stage.listing.latest[stage.add("late", OLD)] = "SUCCEEDED"
    assert stage.run().count == 0
    assert stage.notices() == []


def test_batch_that_was_stored_meanwhile_is_not_shown(stage: Stage) -> None:
    name = stage.add("old", OLD)
    assert stage.run().overdue == 1
    stage.client.zadd(DONE, {name: 1})
    (found,) = stage.shown()
    assert (found.count, found.overdue, find_overdue([found])) == (0, 0, [])


def test_each_threshold_is_told_once(stage: Stage) -> None:
    name = stage.add("one", 23)
    stage.run()
    assert stage.told() == []
    stage.add("one", OLD)
    for _ in range(3):
        stage.run()
    assert stage.told() == [(name, 24)]
    stage.add("one", OLDER)
    for _ in range(2):
        stage.run()
    assert stage.told() == [(name, 24), (name, 44)]
    stage.add("found_late", 100)
    stage.run()
    assert stage.told()[0] == ("batches/found_late", 44)  # and not both at once
    assert len(stage.told()) == 3


def test_notice_that_was_heard_does_not_come_again(stage: Stage) -> None:
    stage.add("one", OLD)
    stage.run()
    Outbox(stage.client).purge([one.name for one in stage.notices()])
    stage.run()
    assert stage.notices() == []


def test_notice_after_a_wipe_is_the_same_one(stage: Stage) -> None:
    """Its receiver knows the webhook-id."""
    stage.add("one", OLD)
    stage.run()
    (before,) = stage.notices()
    stage.client.flushall()
    stage.run()
    (after,) = stage.notices()
    assert after.name == before.name


def test_process_that_tells_nobody_leaves_it_to_another(stage: Stage) -> None:
    stage.add("one", OLD)
    stage.run(targets=())
    assert stage.notices() == []
    stage.run(targets=("target",))
    stage.run(targets=("target", "other"))
    assert sorted(one.target for one in stage.notices()) == ["other", "target"]


def test_projects_are_watched_apart(stage: Stage) -> None:
    stage.add("one", OLD)
    assert stage.run("acme").batches[0].batch == "acme/batches/one"
    assert stage.shown() == []
    (said,) = find_overdue(stage.shown("acme"))
    assert said.startswith(
        "1 batch of project acme has not ended at Gemini within 24 hours (acme/batches/one, RUNNING for 25 hours):"
    )


def test_status_and_metrics_say_so(stage: Stage) -> None:
    stage.add("one", OLD)
    stage.add("two", 30)
    stage.run()
    environ = {"GEMINI_API_KEY": "k", "REDIS_URL": stage.redis_url}
    result = CliRunner().invoke(main, ["status"], env=environ)
    assert result.exit_code == 1
    assert (
        "2 batches have not ended at Gemini within 24 hours (the oldest is batches/two, RUNNING"
        in result.stderr
    )
    seen = "at Gemini  default: 2 not ended when the list was seen 0s ago, 2 overdue"
    assert f"{seen}; the oldest is two (batches/two), RUNNING for 1d" in result.stdout
    fields = read_fields(stage.client, read_settings(environ).projects.values())
    assert fields["gbr_running_batches:default"] == 2
    assert 30 * 3600 <= fields["gbr_running_oldest_age_seconds:default"] < 30 * 3600 + 60


@pytest.mark.parametrize("junk", [b"\xff", b"[]", b'{"seen_ms": "x"}', None])
def test_what_nobody_saw_is_unknown(stage: Stage, junk: bytes | None) -> None:
    if junk is None:
        stage.client.hset(RUNNING, "a", "b")
    else:
        stage.client.set(RUNNING, junk)
    assert stage.shown() == []
    fields = read_fields(stage.client, read_settings({"GEMINI_API_KEY": "k"}).projects.values())
    assert [name for name in fields if "running" in name] == []


def test_memory_of_it_ends_with_the_runs(stage: Stage) -> None:
    stage.add("one", OLD)
    stage.run()
    keys = [*stage.client.keys("gbr:running*"), *stage.client.keys("gbr:overdue*")]
    assert len(keys) == 2
    assert all(stage.client.ttl(key) > 0 for key in keys)


def test_slack_hears_what_to_look_at() -> None:
    data = {
        "state": "RUNNING",
        "created": "2026-11-27T11:00:00Z",
        "hours": 24,
        "display_name": "<!here>",
    }
    text = json.loads(encode_text("batch.overdue", "acme/batches/one", data))["text"]
    assert text.splitlines() == [
        "Batch `&lt;!here&gt;` (`batches/one`) of project `acme`: *:warning: not ended after 24 hours*",
        "Gemini says `RUNNING`, created `2026-11-27T11:00:00Z`. It may let a batch expire 48 hours after that.",
        "Look at it: `gemini-batch-receiver batches show acme/batches/one`",
    ]
