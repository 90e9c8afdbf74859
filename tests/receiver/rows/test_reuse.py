"""Answers of finished submissions are found by what was asked, and only those."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.outputs.manifest import Record
from receiver.outputs.paths import manifest_name
from receiver.rows.asking import digest_request
from receiver.rows.reuse import StoredAnswers
from receiver.storage import LocalStorage
from receiver.submissions.planning import (
    SubmitRequest,
    check_input,
    draft_submission,
    settle_submission,
)
from receiver.submissions.policy import Policy
from receiver.submissions.proof import AnswerRow, BatchProof, SubmissionManifest
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.stored_requests import store_requests

MODEL = "gemini-3.5-flash"


def request(text: str) -> dict[str, Any]:
    return {"contents": [{"parts": [{"text": text}]}]}


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "outputs")


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[StoredAnswers]:
    with StoredAnswers(tmp_path / "stored") as stored:
        yield stored


def finish(
    storage: LocalStorage, source: Path, outcomes: Sequence[str], model: str = MODEL
) -> SubmissionRecords:
    """A submission of as many requests, each with its outcome; the texts are t1, t2, …"""
    lines = [
        json.dumps({"key": f"k{number}", "request": request(f"t{number}")})
        for number in range(1, len(outcomes) + 1)
    ]
    source.write_text("\n".join(lines) + "\n")
    asked = SubmitRequest("", model, max_requests=2, display_name=source.name)
    draft = draft_submission(source, asked, check_input(source, asked))
    submission, _ = settle_submission(storage, source, draft)
    store_requests(storage, source, submission)
    records = SubmissionRecords(storage, submission.id)
    rows = [
        AnswerRow(number, f"k{number}", 0, "batches/b1", outcome, "b1/all.jsonl", 0, 5, "00")
        for number, outcome in enumerate(outcomes, 1)
    ]
    data = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    storage.put_many([(records.answers_name, data)])
    manifest = SubmissionManifest(
        submission=submission.id,
        project="",
        state="completed",
        reason=None,
        file=source.name,
        display_name=source.name,
        model=model,
        requests=len(rows),
        answered=0,
        blocked=0,
        failed=0,
        missing=0,
        outcomes={},
        balanced=True,
        rounds=0,
        batches=[BatchProof("batches/b1", 1, 0, len(rows), "00")],
        cost=None,
        estimate=None,
        policy=Policy(),
        ordered_at=0.0,
        input_sha256="",
        answers=Record(records.answers_name, hashlib.sha256(data).hexdigest()),
        version="test",
    )
    storage.put_many([(records.manifest_name, msgspec.json.encode(manifest))])
    storage.put_many([(manifest_name("batches/b1"), b"{}")])
    return records


def test_answers_are_found_by_what_was_asked(
    storage: LocalStorage, stored: StoredAnswers, tmp_path: Path
) -> None:
    finish(storage, tmp_path / "one", ["ok", "error", "ok"])
    assert stored.load(storage, MODEL, "") == 2
    found = stored.find(digest_request({"contents": [{"parts": [{"text": "t3"}]}]}))
    assert found is not None
    assert (found.key, found.batch, found.object) == ("k3", "batches/b1", "b1/all.jsonl")
    assert stored.find(digest_request(request("t2"))) is None
    assert stored.find(digest_request(request("t4"))) is None


@pytest.mark.parametrize(("model", "project"), [("gemini-3.8-flash", ""), (MODEL, "acme")])
def test_other_models_and_projects_are_left_out(
    storage: LocalStorage, stored: StoredAnswers, tmp_path: Path, model: str, project: str
) -> None:
    finish(storage, tmp_path / "one", ["ok"])
    assert stored.load(storage, model, project) == 0


def test_what_has_not_ended_is_left_out(
    storage: LocalStorage, stored: StoredAnswers, tmp_path: Path
) -> None:
    records = finish(storage, tmp_path / "one", ["ok"])
    storage.delete(records.manifest_name)
    assert stored.load(storage, MODEL, "") == 0


def test_what_is_damaged_is_left_out(
    storage: LocalStorage, stored: StoredAnswers, tmp_path: Path
) -> None:
    records = finish(storage, tmp_path / "one", ["ok", "ok", "ok"])
    answers = storage.read(records.answers_name) or b""
    storage.put_many([(records.answers_name, answers.replace(b'"k1"', b'"k9"'))])
    broken = finish(storage, tmp_path / "two", ["ok"])
    storage.put_many([(broken.answers_name, b"nonsense\n")])
    lost = finish(storage, tmp_path / "three", ["ok"])
    plan = lost.read_plan()
    assert plan is not None
    (part,) = plan.parts
    name = f"_requests/{part.sha256}.jsonl.gz"
    assert gzip.decompress(storage.read(name) or b"")
    storage.delete(name)
    assert stored.load(storage, MODEL, "") == 0


def test_answers_whose_batch_was_deleted_are_left_out(
    storage: LocalStorage, stored: StoredAnswers, tmp_path: Path
) -> None:
    finish(storage, tmp_path / "one", ["ok"])
    storage.delete(manifest_name("batches/b1"))
    assert stored.load(storage, MODEL, "") == 0


def test_rows_of_answers_that_were_changed_are_left_out(
    storage: LocalStorage, stored: StoredAnswers, tmp_path: Path
) -> None:
    records = finish(storage, tmp_path / "one", ["ok", "ok"])
    answers = storage.read(records.answers_name) or b""
    storage.put_many([(records.answers_name, answers.replace(b"b1/all", b"b9/all"))])
    assert stored.load(storage, MODEL, "") == 0


def test_a_manifest_that_is_none_hides_no_other(
    storage: LocalStorage, stored: StoredAnswers, tmp_path: Path
) -> None:
    records = finish(storage, tmp_path / "one", ["ok"])
    finish(storage, tmp_path / "two", ["ok", "ok"])
    storage.put_many([(records.manifest_name, b"nonsense")])
    assert stored.load(storage, MODEL, "") == 2
