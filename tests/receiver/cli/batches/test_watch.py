"""How `batches watch` ends, and what it asks. Only Gemini is a stand-in, over HTTP."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.cli.output import show_moment
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.storage import LocalStorage
from tests.receiver.listing import Listing, ago, serving
from tests.receiver.records import put_manifest
from tests.waiting import eventually


class Flaky(Listing):
    """Answers 503 to some calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.faults = set[int]()  # the numbers of calls that fail, from 1

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        self.calls += 1
        if self.calls in self.faults:
            return 503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "try again"}}
        return super().answer(path)


@dataclass(frozen=True)
class Place:
    listing: Flaky
    storage: LocalStorage
    environ: dict[str, str]

    def watch(self, *args: str, **more: str) -> Result:
        argv = ["batches", "watch", "--interval", "0.1", *args]
        return CliRunner().invoke(main, argv, env=self.environ | more)

    def store(self, batch_id: str, *, ok: int = 2, **fields: object) -> None:
        put_manifest(self.storage, f"batches/{batch_id}", outcomes={"ok": ok}, **fields)


@pytest.fixture
def place(tmp_path: Path, redis_url: str) -> Iterator[Place]:
    listing = Flaky()
    with serving(listing) as url:
        environ = {
            "GEMINI_API_KEY": "k",
            "GEMINI_BASE_URL": url,
            "STORAGE_URL": tmp_path.as_uri(),
            "REDIS_URL": redis_url,
        }
        yield Place(listing, LocalStorage(tmp_path), environ)


def test_stored_batch_ends_the_watch(place: Place) -> None:
    """Gemini may have forgotten it."""
    place.store("a")
    result = place.watch("a")
    where, counts = result.stderr.splitlines()
    assert result.exit_code == 0
    assert counts == "1 of 1 batch is well"
    folder = place.storage.root / "a"
    assert where.startswith(
        f"batches/a: stored in {folder}; `gemini-batch-receiver batches show a`"
    )
    assert result.stdout.endswith("  batches/a  SUCCEEDED 2/2, stored\n")
    assert place.listing.calls == 0


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"outcomes": {"ok": 1}, "missing": 1}, "1 of 2 requests has no result"),
        (
            {"outcomes": {"ok": 3}, "balanced": False},
            "the counts don't add up: 2 requests, 3 results, 0 missing",
        ),
        ({"outcomes": {"ok": 1, "blocked": 1}}, "1 result is no answer: 1 blocked"),
        ({"outcomes": {"ok": 1, "truncated": 1}}, "1 result is no answer: 1 truncated"),
    ],
)
def test_incomplete_batch_is_a_failure(place: Place, record: dict[str, Any], reason: str) -> None:
    put_manifest(place.storage, "batches/a", **record)
    place.store("b")
    result = place.watch("a", "b")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"batches/a: {reason}"
    assert result.stderr.splitlines()[-1] == "1 of 2 batches are well"


def test_batch_whose_requests_all_failed_is_not_well(place: Place) -> None:
    retry = {"name": "a/_retry.jsonl", "sha256": "ab"}
    put_manifest(place.storage, "batches/a", requests=5, outcomes={"error": 5}, retry=retry)
    result = place.watch("a")
    assert (result.exit_code, result.stdout.split("  ")[2]) == (
        1,
        "SUCCEEDED 0/5, stored; 5 errors\n",
    )
    assert "batches/a: `gemini-batch-receiver resubmit a --input FILE` sends again" in result.stderr
    (seen,) = map(json.loads, place.watch("a", "--json").stdout.splitlines())
    assert (seen["succeeded"], seen["failed"], seen["judgement"]) == (0, 5, "stored; 5 errors")


@pytest.mark.parametrize(
    ("stats", "code"),
    [
        ({"requestCount": "5", "successfulRequestCount": "5"}, 0),
        ({"requestCount": "5", "failedRequestCount": "5"}, 1),
        ({"requestCount": "5", "successfulRequestCount": "3", "failedRequestCount": "1"}, 1),
    ],
)
def test_failed_requests_count_without_storage(
    place: Place, stats: dict[str, str], code: int
) -> None:
    name = place.listing.add("a")
    place.listing.operations[name]["metadata"]["batchStats"] = stats
    result = place.watch("a", "--until", "ended")
    assert result.exit_code == code
    assert ("Gemini says that" in result.stderr) == bool(code)


def test_ended_batch_is_waited_for_until_stored(place: Place) -> None:
    place.listing.add("a")

    def store_later() -> None:
        eventually(lambda: place.listing.calls)
        place.store("a")

    writer = threading.Thread(target=store_later)
    writer.start()
    result = place.watch("a")
    writer.join()
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("  batches/a  SUCCEEDED 2/2, stored\n")


def test_gemini_is_not_asked_of_what_has_ended(place: Place) -> None:
    place.listing.add("a")
    result = place.watch("batches/a", "--timeout", "0.5")
    said = "  batches/a  SUCCEEDED 0/?, not stored yet (no webhook has come)\n"
    assert result.stdout.endswith(said)
    assert (result.exit_code, len(result.stdout.splitlines()), place.listing.calls) == (1, 1, 1)


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELLED", 1)])
def test_outcome_decides_without_storage(place: Place, state: str, code: int) -> None:
    place.listing.add("a", state)
    result = place.watch("a", "--until", "ended")
    assert (result.exit_code, f"batches/a  {state} 0/?\n" in result.stdout) == (code, True)


def test_time_runs_out(place: Place) -> None:
    place.listing.add("a", "RUNNING")
    result = place.watch("a", "--timeout", "0.3")
    assert (result.exit_code, "batches/a: not done yet: RUNNING 0/?\n" in result.stderr) == (
        1,
        True,
    )
    assert place.listing.calls > 1


def test_buried_batch_is_not_waited_for(place: Place) -> None:
    place.listing.add("a")
    with connect(place.environ["REDIS_URL"]) as client:
        inbox = Inbox(client)
        inbox.accept([Arrival("batches/a", "batch.succeeded", "static")])
        lease = inbox.claim("batches/a")
        assert lease is not None
        inbox.bury(lease, "no such file")
    result = place.watch("a")
    assert result.exit_code == 1
    assert (
        "batches/a: it is buried: no such file; `gemini-batch-receiver inbox retry batches/a`"
        in result.stderr
    )


def test_waiting_batch_says_why(place: Place) -> None:
    name = place.listing.add("a")
    with connect(place.environ["REDIS_URL"]) as client:
        lock = ReconcileLock(client, 900)
        run = lock.acquire()
        assert run is not None
        lock.release(run, "complete")
        due = show_moment(run.began_ms + 900_000)
        said = f"not stored yet (no webhook has come; the next reconcile run is due at {due})"
        assert said in place.watch("--timeout", "0").stdout
        off = place.watch("--timeout", "0", RECONCILE_INTERVAL_S="0").stdout
        assert off.endswith("not stored yet (no webhook has come)\n")

        inbox = Inbox(client)
        inbox.accept([Arrival(name, "batch.succeeded", "static")])
        lease = inbox.claim(name)
        assert lease is not None
        inbox.postpone(lease, 3600, "the bucket is away", "outages")
        waiting = place.watch("--timeout", "0")
        assert "not stored yet (the bucket is away)\n" in waiting.stdout


def test_unknown_batch_leaves_the_others_theirs(place: Place) -> None:
    place.store("a")
    result = place.watch("a", "nosuchbatch")
    assert result.exit_code == 1
    assert (
        "batches/nosuchbatch: Gemini knows no batches/nosuchbatch for this API key" in result.stderr
    )
    assert "1 of 2 batches are well" in result.stderr


def test_faults_are_waited_out(place: Place) -> None:
    place.listing.add("a", "RUNNING")
    place.listing.faults = {2, 3}

    def end_later() -> None:
        eventually(lambda: place.listing.calls > 3)
        place.listing.latest["batches/a"] = "SUCCEEDED"

    ender = threading.Thread(target=end_later)
    ender.start()
    result = place.watch("batches/a", "--until", "ended")
    ender.join()
    assert (result.exit_code, result.stderr.count("503 UNAVAILABLE")) == (0, 2)


def test_fault_at_the_first_look_ends_it(place: Place) -> None:
    place.listing.add("a", "RUNNING")
    place.listing.faults = {1}
    result = place.watch("batches/a")
    assert (result.exit_code, "Error: Gemini did not give batches/a (503" in result.stderr) == (
        1,
        True,
    )


def test_without_a_name_all_unfinished_are_watched(place: Place) -> None:
    for batch_id, state in (
        ("run", "RUNNING"),
        ("wait", "PENDING"),
        ("ended", "SUCCEEDED"),
        ("stored", "SUCCEEDED"),
        ("owed", "SUCCEEDED"),
    ):
        place.listing.add(batch_id, state)
    place.listing.add("gone", ended=ago(hours=49))
    place.store("stored")
    with connect(place.environ["REDIS_URL"]) as client:
        Inbox(client).accept([Arrival("batches/owed", "batch.succeeded", "static")])
    result = place.watch("--timeout", "0", "--json")
    assert {json.loads(line)["batch"] for line in result.stdout.splitlines()} == {
        "batches/run",
        "batches/wait",
        "batches/ended",
        "batches/owed",
    }
    alone = place.watch("--timeout", "0", REDIS_URL="redis://127.0.0.1:9/0")
    assert "): watching only what Gemini lists" in alone.stderr
    assert len(alone.stdout.splitlines()) == 4


def test_ended_batch_that_is_not_stored_is_not_well(place: Place) -> None:
    """Its webhook was refused, or there is none."""
    place.listing.add("a")
    result = place.watch("--timeout", "0.3")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "0 of 1 batch is well")
    assert "batches/a: not done yet: SUCCEEDED 0/?, not stored yet" in result.stderr
    assert place.watch("--until", "ended").stderr.startswith("nothing to watch: ")


def test_nothing_unfinished_is_nothing_to_watch(place: Place) -> None:
    result = place.watch()
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(
        "nothing to watch: no batch runs at Gemini or waits in the inbox, and those that ended"
    )


def test_many_are_asked_by_the_page(place: Place) -> None:
    place.listing.page_size = 100
    names = [place.listing.add(f"b{number}", "SUCCEEDED") for number in range(6)]
    place.listing.hidden = set(names)
    result = place.watch("--until", "ended", *names)
    assert (result.exit_code, place.listing.calls, place.listing.asked) == (0, 1, [])


def test_stranger_is_a_usage_error(place: Place) -> None:
    result = place.watch("globex/x")
    assert (
        result.exit_code,
        "no project is called globex here: expected one of default" in result.stderr,
    ) == (2, True)
