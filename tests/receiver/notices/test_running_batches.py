"""Reconcile runs over a list whose batches stay pending or running, with a real Valkey."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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


@pytest.mark.parametrize(
    ("stats", "done", "failed"),
    [
        ({"requestCount": "100", "pendingRequestCount": "88"}, 12, 0),
        ({"requestCount": 100, "successfulRequestCount": 9, "failedRequestCount": "3"}, 12, 3),
        ({"requestCount": "100", "pendingRequestCount": "100"}, 0, 0),
        ({"requestCount": "100", "pendingRequestCount": "120"}, 0, 0),
        ({"requestCount": "100"}, None, 0),  # it may not count while the batch runs
        ({"requestCount": "100", "pendingRequestCount": "-1", "failedRequestCount": None}, None, 0),
        ({"pendingRequestCount": "7"}, None, 0),
    ],
)
def test_progress_is_what_gemini_counts(
    stage: Stage, stats: dict[str, Any], done: int | None, failed: int
) -> None:
    name = stage.add("one", 3)
    stage.listing.operations[name]["metadata"]["batchStats"] = stats
    (row,) = stage.run().batches
    requests = 100 if "requestCount" in stats else None
    assert (row.requests, row.done, row.failed) == (requests, done, failed)


def test_batch_tells_its_submission_and_what_the_inbox_has(stage: Stage) -> None:
    """Its end may have been told since the list was seen."""
    names = [stage.add(one, 3) for one in ("open", "leased", "buried", "running")]
    tag = "5d41402abc4b2a76b971.2.0123456789ab"
    metadata = stage.listing.operations[names[0]]["metadata"]
    metadata["displayName"] = f"evening [gbr:{tag}]"
    metadata["batchStats"] = {"requestCount": "3", "successfulRequestCount": "1"}
    stage.run("acme")
    for name in names[:3]:
        stage.client.hset(f"gbr:entry:acme/{name}", "state", name.removeprefix("batches/"))
    stage.client.set(f"gbr:entry:acme/{names[3]}", "foreign")
    rows = {row.batch.removeprefix("acme/batches/"): row for row in stage.shown("acme")[0].batches}
    assert {name: row.inbox for name, row in rows.items()} == {
        "open": "open",
        "leased": "leased",
        "buried": "buried",
        "running": None,
    }
    assert rows["open"].submission == "acme/submissions/5d41402abc4b2a76b971"
    assert rows["leased"].submission is None
    environ = {"GEMINI_API_KEY__ACME": "k", "REDIS_URL": stage.redis_url}
    said = CliRunner().invoke(main, ["status"], env=environ).stdout.splitlines()
    assert (
        f"{'':<10} evening (acme/batches/open): RUNNING for 3h, 1 of 3 requests done, of"
        " acme/submissions/5d41402abc4b2a76b971, its end was announced and waits for a worker"
    ) in said


def test_note_of_an_earlier_version_is_read(stage: Stage) -> None:
    stage.client.set(
        RUNNING, '{"seen_ms":1,"count":1,"batches":[{"batch":"batches/a","state":"RUNNING"}]}'
    )
    (row,) = stage.shown()[0].batches
    assert (row.batch, row.done, row.submission) == ("batches/a", None, None)


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
    said = result.stdout.splitlines()
    first = said.index("at Gemini  default: 2 not ended when the list was seen 0s ago, 2 overdue")
    assert said[first + 1 : first + 3] == [
        f"{'':<10} two (batches/two): RUNNING for 1d, overdue",
        f"{'':<10} one (batches/one): RUNNING for 1d, overdue",
    ]
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
