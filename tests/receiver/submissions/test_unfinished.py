"""Whoever looks at the storage alone finds every submission that is not finished, and no other."""

import json
from pathlib import Path

import pytest
import redis

from receiver.batch_names import SubmissionName
from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledgers import open_ledgers
from receiver.storage import LocalStorage
from receiver.submissions.policy import Order, Policy
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.unfinished import accept_unfinished, find_unfinished
from tests.receiver.submissions.test_records import PLAN

ID = "5d41402abc4b2a76b971"
NAME = f"submissions/{ID}"


@pytest.fixture
def records(tmp_path: Path) -> SubmissionRecords:
    storage = LocalStorage(tmp_path)
    storage.put_many([(f"_submissions/{ID}/plan.json", PLAN)])
    records = SubmissionRecords(storage, ID)
    records.write_policy(Policy())
    return records


def finish(folder: Path, ordered_at: float) -> None:
    """As much of a proof as is looked at."""
    manifest: dict[str, object] = {
        "submission": ID,
        "project": "",
        "state": "completed",
        "reason": None,
        "file": "requests.jsonl",
        "display_name": "evening",
        "model": "gemini-3.8-flash",
        "requests": 2,
        "answered": 2,
        "blocked": 0,
        "failed": 0,
        "missing": 0,
        "outcomes": {"ok": 2},
        "balanced": True,
        "rounds": 0,
        "batches": [],
        "cost": None,
        "estimate": None,
        "policy": {},
        "ordered_at": ordered_at,
        "input_sha256": "0a",
        "answers": {"name": "answers.jsonl", "sha256": "0b"},
        "version": "1",
    }
    (folder / "_submissions" / ID / "manifest.json").write_text(json.dumps(manifest))


def found(folder: Path, project: str = "") -> list[str]:
    return [str(name) for name in find_unfinished(LocalStorage(folder), project)]


def test_one_without_a_proof_is_found(tmp_path: Path, records: SubmissionRecords) -> None:
    assert found(tmp_path) == [NAME]
    assert found(tmp_path, "acme") == []
    assert records.read_plan() is not None


@pytest.mark.usefixtures("records")
def test_finished_one_is_left_alone(tmp_path: Path) -> None:
    finish(tmp_path, 0.0)
    assert found(tmp_path) == []


def test_later_word_opens_it_again(tmp_path: Path, records: SubmissionRecords) -> None:
    finish(tmp_path, 5.0)
    records.write_order(Order("run", 5.0))
    assert found(tmp_path) == []
    records.write_order(Order("run", 6.0))
    assert found(tmp_path) == [NAME]


@pytest.mark.parametrize("gone", ["plan.json", "policy.json"])
@pytest.mark.usefixtures("records")
def test_what_was_never_accepted_is_left_alone(tmp_path: Path, gone: str) -> None:
    """A command that died before its last step, or that of an earlier version."""
    (tmp_path / "_submissions" / ID / gone).unlink()
    assert found(tmp_path) == []


@pytest.mark.usefixtures("records")
def test_unreadable_plan_hides_no_other(tmp_path: Path) -> None:
    other = "0" * 20
    storage = LocalStorage(tmp_path)
    storage.put_many([(f"_submissions/{other}/plan.json", b"{")])
    SubmissionRecords(storage, other).write_policy(Policy())
    storage.put_many([("_submissions/spending/default/2026-01-01/1.json", b"{}")])
    assert found(tmp_path) == [NAME]


@pytest.mark.usefixtures("records")
def test_only_those_that_nobody_works_on_become_due(tmp_path: Path, client: "redis.Redis") -> None:
    storage, ledger = LocalStorage(tmp_path), open_ledgers(client).submissions
    assert accept_unfinished(client, storage, "") == [NAME]
    assert open_queue(client).count == 1
    assert accept_unfinished(client, storage, "") == []
    lease = ledger.claim(NAME)
    assert lease is not None
    ledger.rest(lease, 600, "it waits")
    assert accept_unfinished(client, storage, "") == []
    assert not ledger.has_due()  # a wait stays one

    ledger.bury_by_hand([NAME], "no")
    assert accept_unfinished(client, storage, "") == []
    client.flushall()
    assert accept_unfinished(client, storage, "") == [NAME]
    assert SubmissionName.read(NAME) is not None
