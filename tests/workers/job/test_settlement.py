"""What becomes of a batch when Gemini or the storage fails: the whole job, with real parts."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver.cli.inbox import entry_lines
from receiver.inbox.entries import Entry
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import DUE, ENTRY, METRICS
from receiver.notices.outbox import read_outbox_status
from receiver.status.view_models import make_row
from tests.answering import Answer, answering
from tests.receiver.listing import ago
from workers.job.context import current_settings
from workers.process import process_batch

BATCH = "batches/abc"
FILE = "files/batch-abc"
DAY_MS = 86_400_000
LINE = b'{"key":"one","response":{"candidates":[{"content":{"parts":[{"text":"Hello"}]},"finishReason":"STOP"}]}}\n'


def refusing(status: int, **headers: str) -> Callable[[], Answer]:
    body = json.dumps({"error": {"code": status, "status": "SAID", "message": "not now"}}).encode()
    return lambda: Answer(status, b"" if status in (204, 302) else body, {**headers})


@dataclass
class Stage:
    """Gemini with one batch, whose answers can be replaced; an inbox with it; a folder."""

    client: "redis.Redis"
    outputs: Path
    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "state": "BATCH_STATE_SUCCEEDED",
            "output": {"responsesFile": FILE},
            "endTime": ago(hours=1),
        }
    )
    get: Callable[[], Answer] | None = None
    file: Callable[[], Answer] | None = None

    def answer(self, path: str, _: Message) -> Answer:
        if path.startswith(f"/v1beta/{FILE}:download"):
            return self.file() if self.file else Answer(200, LINE)
        described = {
            "name": BATCH,
            "metadata": {"batchStats": {"requestCount": "1"}} | self.metadata,
            "done": True,
        }
        return self.get() if self.get else Answer(200, json.dumps(described).encode())

    @property
    def entry(self) -> Entry:
        return Inbox(self.client).entries([BATCH])[BATCH]

    @property
    def is_stored(self) -> bool:
        return (self.outputs / "abc" / "_manifest.json").is_file()

    def owe(self) -> None:
        Inbox(self.client).accept([Arrival(BATCH, "batch.succeeded", "static")])

    def run(self, times: int = 1) -> Entry:
        """So many attempts, each as soon as the one before has ended."""
        for _ in range(times):
            self.client.zadd(DUE, {BATCH: 0}, xx=True)
            process_batch(BATCH)
        return self.entry

    def pass_days(self, days: float) -> None:
        """As if all faults had been so long ago."""
        for name in ("outages_since", "refusals_since"):
            if self.client.hexists(ENTRY + BATCH, name):
                self.client.hincrby(ENTRY + BATCH, name, -int(days * DAY_MS))


@pytest.fixture
def stage(
    client: "redis.Redis", redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    stage = Stage(client, tmp_path / "outputs")
    with answering(stage.answer) as url:
        environ = {"GEMINI_API_KEY": "right-key", "GEMINI_BASE_URL": url, "REDIS_URL": redis_url}
        environ |= {
            "STORAGE_URL": stage.outputs.as_uri(),
            "NOTIFY_URL": "http://127.0.0.1:9/",
            "NOTIFY_PRIVATE": "true",
        }
        environ |= {"NOTIFY_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        current_settings.cache_clear()
        stage.owe()
        yield stage
    current_settings.cache_clear()


OUTAGES = {
    "503": refusing(503),
    "429": refusing(429),
    "500": refusing(500),
    "522": refusing(522),
    "401": refusing(401),
    "407": refusing(407),
    "page of a proxy": lambda: Answer(200, b"<html>log in</html>"),
    "portal": refusing(302, location="https://login.example/"),
}
REFUSALS = {"404": refusing(404), "400": refusing(400), "204": refusing(204), "410": refusing(410)}


@pytest.mark.parametrize("name", [*OUTAGES, *REFUSALS, "403"])
def test_fault_of_get_waits_and_counts_no_attempt(stage: Stage, name: str) -> None:
    stage.get = (OUTAGES | REFUSALS | {"403": refusing(403)})[name]
    entry = stage.run(9)
    assert (entry.state, entry.attempts, entry.outages + entry.refusals) == ("open", 0, 9)
    assert bool(entry.refusals) is (name in REFUSALS)
    stage.get = None
    assert (stage.run().state, stage.is_stored) == ("done", True)


@pytest.mark.parametrize("name", ["503", "429", "401", "404", "403", "410", "400", "204", "portal"])
def test_fault_of_the_file_waits_and_counts_no_attempt(stage: Stage, name: str) -> None:
    stage.file = (OUTAGES | REFUSALS | {"403": refusing(403, **{"retry-after": "3600"})})[name]
    if name in ("503", "429"):  # else the download itself would wait
        stage.file = refusing(int(name), **{"retry-after": "600"})
    entry = stage.run(6)
    assert (entry.state, entry.attempts, entry.outages + entry.refusals) == ("open", 0, 6)
    stage.file = None
    assert (stage.run().state, stage.is_stored) == ("done", True)


def test_storage_that_is_away_counts_no_attempt(stage: Stage) -> None:
    stage.outputs.write_text("a file is in the way")
    entry = stage.run(6)
    assert (entry.state, entry.attempts, entry.outages) == ("open", 0, 6)
    assert "STORAGE_URL can't be used" in entry.cause
    stage.outputs.unlink()
    assert (stage.run().state, stage.is_stored) == ("done", True)


def test_outage_is_borne_for_a_week(stage: Stage) -> None:
    stage.get = refusing(503)
    stage.run()
    stage.pass_days(6.9)
    assert stage.run().state == "open"
    stage.pass_days(0.2)
    entry = stage.run()
    assert (entry.state, entry.fault, read_outbox_status(stage.client).waiting) == (
        "buried",
        "outside",
        1,
    )


def test_refusal_is_believed_after_a_day(stage: Stage) -> None:
    stage.get = refusing(404)
    stage.run()
    stage.pass_days(0.9)
    assert stage.run().state == "open"
    stage.pass_days(0.2)
    entry = stage.run()
    assert (entry.state, entry.fault, read_outbox_status(stage.client).waiting) == (
        "buried",
        "refused",
        1,
    )


def test_refusal_after_a_long_outage_is_no_verdict_yet(stage: Stage) -> None:
    stage.get = refusing(503)
    stage.run()
    stage.pass_days(6)
    stage.get = refusing(404)
    assert stage.run(3).state == "open"


def test_outage_between_two_refusals_starts_their_row_anew(stage: Stage) -> None:
    stage.get = refusing(404)
    stage.run()
    stage.pass_days(2)
    stage.get = refusing(503)
    stage.run()
    stage.get = refusing(404)
    assert stage.run().state == "open"


def test_answer_ends_the_outage(stage: Stage) -> None:
    """Gemini is back, and says that the batch runs: the next outage has a week of its own."""
    stage.get = refusing(503)
    stage.run()
    stage.pass_days(6)
    stage.get = lambda: Answer(200, b'{"metadata":{"state":"BATCH_STATE_RUNNING"}}')
    entry = stage.run()
    assert (entry.waits, entry.outages, entry.outage_ms) == (1, 0, None)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_history_without_results_expires_in_silence(stage: Stage, status: int) -> None:
    stage.metadata["endTime"] = ago(days=9)
    stage.file = refusing(status)
    assert stage.run(2).state == "open"
    entry = stage.run()
    assert (entry.state, "its results are gone" in entry.summary.expired) == ("done", True)
    assert read_outbox_status(stage.client).waiting == 0
    assert stage.client.hget(METRICS, "gbr_buried_batches_total") is None
    assert stage.client.hget(METRICS, "gbr_attempts_total:expired") == b"1"
    assert make_row(entry, 0).judgement is None
    said = dict(entry_lines(entry))
    assert ("judgement" in said, said["expired"]) == (False, entry.summary.expired)


def test_history_without_named_results_expires_in_silence(stage: Stage) -> None:
    stage.metadata |= {"endTime": ago(days=9), "output": None}
    assert stage.run(3).summary.expired


def test_history_with_results_is_stored(stage: Stage) -> None:
    stage.metadata["endTime"] = ago(days=9)
    stage.file = refusing(404)
    stage.run()
    stage.file = None
    assert (stage.run().state, stage.is_stored) == ("done", True)


def test_results_that_were_lost_here_are_no_history(stage: Stage) -> None:
    """They lived when the batch was accepted: whoever lost them must hear of it."""
    stage.metadata["endTime"] = ago(days=4)
    stage.client.hset(ENTRY + BATCH, "first", int(stage.entry.accepted_ms - 4 * DAY_MS))
    stage.file = refusing(404)
    stage.run(5)
    stage.pass_days(1.1)
    assert (stage.run().state, read_outbox_status(stage.client).waiting) == ("buried", 1)


@pytest.mark.parametrize("state", ["JOB_STATE_PARTIALLY_SUCCEEDED", "BATCH_STATE_WHATEVER_IS_NEW"])
def test_done_ends_a_batch_whatever_its_state_is_called(stage: Stage, state: str) -> None:
    stage.metadata["state"] = state
    assert stage.run().state == "done"
    manifest = json.loads((stage.outputs / "abc" / "_manifest.json").read_bytes())
    assert (manifest["state"], manifest["outcomes"]["ok"]) == (state.partition("STATE_")[2], 1)


def test_odd_description_is_no_verdict(stage: Stage) -> None:
    stage.metadata["output"] = {"responsesFile": "gs://bucket/results.jsonl"}
    entry = stage.run(6)
    assert (entry.state, entry.attempts, entry.refusals) == ("open", 0, 6)
    assert "gs://bucket/results.jsonl" in entry.cause
