import logging
from collections.abc import Iterator

import pytest

from receiver.errors import GeminiError, InboxUnavailableError, ReconcileLockedError, StorageError
from receiver.gemini.batches import Gemini
from receiver.gemini.project_client import ProjectClient
from receiver.inbox.entry_fields import Summary
from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledger import Arrival
from receiver.inbox.redis import ENTRY, RECONCILE, connect
from receiver.recovery.reconcile import Reconciliation
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.recovery.scheduler import reconcile_due_projects
from receiver.settings.settings import read_settings
from receiver.submissions.policy import Policy
from receiver.submissions.records import SubmissionRecords
from tests.key_router import routing_keys
from tests.receiver.listing import Listing, ago, serving
from tests.receiver.reconciling import Stage, staging
from tests.receiver.submissions.test_records import PLAN


@pytest.fixture
def stage(redis_url: str, storage_url: str) -> Iterator[Stage]:
    with staging(redis_url, storage_url) as stage:
        yield stage


@pytest.fixture
def acme() -> Iterator[tuple[Listing, ProjectClient]]:
    """A second project with a list of its own."""
    listing = Listing()
    with serving(listing) as url, Gemini(url, "key-acme") as gemini:
        yield listing, ProjectClient(gemini, "acme")


def warnings_of(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage() == event]


def test_wiped_redis_is_restored(stage: Stage) -> None:
    stage.listing.page_size = 100
    stored = [stage.listing.add(f"stored{n}") for n in range(500)]
    for name in stored:
        stage.store(name)
    opened = [stage.listing.add(f"open{n}", ended=ago(seconds=n)) for n in range(200)]
    report = stage.reconcile()
    assert (report.counts.found, report.counts.stored, sorted(report.counts.queued)) == (
        700,
        500,
        sorted(opened),
    )
    assert all(entry.state == "open" for entry in stage.inbox.entries(opened).values())
    assert stage.inbox.entries(stored) == {}
    assert open_queue(stage.client).count == len(opened)


def test_submission_that_nobody_works_on_is_queued(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The storage is the truth: Redis may just have been wiped."""
    submission = "5d41402abc4b2a76b971"
    stage.storage.put_many([(f"_submissions/{submission}/plan.json", PLAN)])
    SubmissionRecords(stage.storage, submission).write_policy(Policy())
    with caplog.at_level(logging.INFO):
        assert stage.reconcile().submissions == [f"submissions/{submission}"]
    assert "reconcile.submissions" in caplog.text
    assert open_queue(stage.client).count == 1
    assert stage.reconcile().submissions == []


def test_wipe_counts_no_missed_webhook(stage: Stage) -> None:
    stage.listing.add("one")
    assert stage.reconcile().missed == []
    assert stage.missed() == 0


def test_missed_webhook_is_counted_once(stage: Stage) -> None:
    stage.reconcile()
    stage.age_first_run()
    name = stage.listing.add("one", ended=ago(minutes=10))
    assert stage.reconcile().missed == [name]
    assert stage.reconcile().missed == []
    assert stage.missed() == 1


def test_fresh_batch_is_left_to_its_webhook(stage: Stage) -> None:
    stage.reconcile()
    stage.age_first_run()
    name = stage.listing.add("one", ended=ago(seconds=10))
    assert stage.reconcile().counts.young == 1
    assert stage.inbox.entries([name]) == {}
    stage.listing.add("one", ended=ago(minutes=10))
    assert stage.reconcile().missed == [name]


def test_delivered_batch_is_not_missed(stage: Stage) -> None:
    stage.reconcile()
    stage.age_first_run()
    name = stage.listing.add("one", ended=ago(minutes=10))
    stage.inbox.accept([Arrival(name, "batch.succeeded", "static", "static:msg_1")])
    report = stage.reconcile()
    assert (report.counts.pending, report.missed, stage.missed()) == (1, [], 0)


def test_owed_batch_keeps_its_wait(stage: Stage) -> None:
    name = stage.listing.add("one")
    stage.inbox.accept([Arrival(name, "batch.succeeded", "static")])
    lease = stage.inbox.claim(name)
    assert lease is not None
    stage.inbox.postpone(lease, 3600, "Gemini is down", "attempts")
    stage.reconcile()
    assert not stage.inbox.has_due()


def test_buried_batch_stays_buried(stage: Stage) -> None:
    name = stage.listing.add("one")
    stage.inbox.accept([Arrival(name, "batch.succeeded", "static")])
    lease = stage.inbox.claim(name)
    assert lease is not None
    stage.inbox.bury(lease, "no such file")
    assert stage.reconcile().counts.buried == 1
    assert stage.inbox.entries([name])[name].state == "buried"


def test_done_batch_without_manifest_is_queued(stage: Stage) -> None:
    stage.reconcile()
    stage.age_first_run()
    name = stage.listing.add("one", ended=ago(minutes=10))
    stage.inbox.accept([Arrival(name, "batch.succeeded", "static", metadata='{"tenant":"acme"}')])
    lease = stage.inbox.claim(name)
    assert lease is not None
    stage.inbox.finish(lease, Summary())
    report = stage.reconcile()
    assert (report.counts.queued, report.missed) == ([name], [])
    assert stage.inbox.entries([name])[name].metadata == {"tenant": "acme"}


def test_only_recent_ends_are_looked_at(stage: Stage) -> None:
    stage.reconcile()
    stage.listing.add("old", ended=ago(hours=2))
    recent = stage.listing.add("recent", ended=ago(minutes=50))
    assert stage.reconcile().counts.queued == [recent]


def test_list_that_stops_moves_no_mark(stage: Stage) -> None:
    stage.reconcile()
    mark = stage.client.hget(RECONCILE, "complete")
    for number in range(7):
        stage.listing.add(f"b{number}", ended=ago(minutes=10))
    stage.listing.broken_page = 2
    with pytest.raises(GeminiError):
        stage.reconcile()
    assert stage.client.hget(RECONCILE, "complete") == mark
    stage.listing.broken_page = None
    assert len(stage.reconcile().counts.queued) == 7
    assert stage.client.hget(RECONCILE, "complete") != mark


def test_invisible_batch_gets_no_verdict(stage: Stage) -> None:
    stage.reconcile()
    name = stage.listing.add("one", state="RUNNING")
    stage.listing.hidden.add(name)
    other = stage.listing.add("two", ended=ago(minutes=10))
    report = stage.reconcile()
    assert (report.counts.unclear, report.counts.queued) == ([name], [other])
    stage.listing.hidden.clear()
    stage.listing.add("one", ended=ago(days=1))  # long before the look that could not tell
    assert stage.reconcile().counts.queued == [name]


def test_stale_list_is_asked_again(stage: Stage) -> None:
    stage.reconcile()
    name = stage.listing.add("one", state="RUNNING")
    assert stage.reconcile().counts.unfinished == 1
    stage.listing.latest[name] = "SUCCEEDED"
    assert stage.reconcile().counts.queued == [name]


def test_unreadable_storage_makes_no_verdict(stage: Stage) -> None:
    class Unreadable:
        def exists(self, name: str) -> bool:
            raise StorageError(f"the storage did not look for {name}")

    stage.listing.add("one")
    look = Reconciliation(stage.client, stage.batches, Unreadable(), 900)  # type: ignore[arg-type] # a look only asks `exists`
    with pytest.raises(StorageError):
        look.run(force=True)
    assert stage.client.hget(RECONCILE, "complete") is None
    assert not stage.client.exists(ENTRY + "batches/one")


def test_expiring_results_are_named(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    owed = stage.listing.add("owed", ended=ago(hours=40))
    stage.reconcile()
    stage.listing.add("gone", ended=ago(days=9))
    stage.store(stage.listing.add("stored", ended=ago(hours=40)))
    stage.listing.add("recent", ended=ago(hours=3))
    assert stage.reconcile().expiring == [owed]
    assert [vars(record)["names"] for record in warnings_of(caplog, "reconcile.expiring")] == [
        owed,
        owed,
    ]


def test_one_run_at_a_time(stage: Stage) -> None:
    lock = ReconcileLock(stage.client, 900)
    assert lock.acquire() is not None
    with pytest.raises(ReconcileLockedError):
        stage.reconcile()


def test_wiped_turn_ends_the_run(stage: Stage) -> None:
    """A holder that lost its turn must not move the mark of the one that has it now."""
    lock = ReconcileLock(stage.client, 900)
    run = lock.acquire()
    assert run is not None
    stage.client.flushall()
    with pytest.raises(ReconcileLockedError):
        lock.renew(run)
    lock.release(run, "complete")
    assert stage.client.hget(RECONCILE, "complete") is None


def test_absent_redis_is_said_in_words(stage: Stage) -> None:
    with connect("redis://127.0.0.1:9/0") as nowhere, pytest.raises(InboxUnavailableError):
        Reconciliation(nowhere, stage.batches, stage.storage, 900).run(force=False)


def test_each_project_has_its_own_turn_and_mark(
    stage: Stage, acme: tuple[Listing, ProjectClient]
) -> None:
    stage.reconcile()
    assert ReconcileLock(stage.client, 900, "acme").is_due()
    listing, batches = acme
    old = listing.add("old", ended=ago(hours=2))
    report = stage.reconcile(
        batches
    )  # acme's first look takes everything, whatever the default project has seen
    assert report.counts.queued == [f"acme/{old}"]
    assert not ReconcileLock(stage.client, 900, "acme").is_due()
    assert stage.client.exists(RECONCILE, f"{RECONCILE}:acme") == 2


def test_projects_meet_only_their_own_entries(
    stage: Stage, acme: tuple[Listing, ProjectClient]
) -> None:
    """An event at acme's endpoint about the default project's batch hides nothing from a run."""
    name = stage.listing.add("one")
    stage.inbox.accept([Arrival(f"acme/{name}", "batch.succeeded", "dynamic", "acme/v1a:msg_1")])
    lease = stage.inbox.claim(f"acme/{name}")
    assert lease is not None
    stage.inbox.bury(lease, "Gemini knows no such batch")
    assert stage.reconcile().counts.queued == [name]
    assert stage.reconcile(acme[1]).counts.found == 0
    assert {one.state for one in stage.inbox.entries([name, f"acme/{name}"]).values()} == {
        "open",
        "buried",
    }


def test_stored_batch_of_a_project_is_known(
    stage: Stage, acme: tuple[Listing, ProjectClient]
) -> None:
    listing, batches = acme
    stage.store(listing.add("stored"))
    running = listing.add("running", state="RUNNING")
    listing.latest[running] = "SUCCEEDED"
    counts = stage.reconcile(batches).counts
    assert (counts.stored, counts.queued) == (1, [f"acme/{running}"])
    assert listing.asked == [running]  # Gemini hears its own name of the batch


def test_failing_project_leaves_others_their_run(
    stage: Stage, redis_url: str, storage_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = stage.listing.add("one")
    with serving(stage.listing) as url, routing_keys({"key-acme": url}) as router:
        environ = {
            "GEMINI_API_KEY": "revoked",
            "GEMINI_API_KEY__ACME": "key-acme",
            "GEMINI_BASE_URL": router.url,
        }
        reconcile_due_projects(
            read_settings(environ | {"REDIS_URL": redis_url, "STORAGE_URL": storage_url}),
            stage.client,
        )
    assert stage.inbox.entries([f"acme/{name}"])[f"acme/{name}"].state == "open"
    assert [vars(record)["project"] for record in warnings_of(caplog, "reconcile.failed")] == [
        "default"
    ]
