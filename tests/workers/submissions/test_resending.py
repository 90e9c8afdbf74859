"""What `resubmit` sends of a batch, whatever was sent again before."""

import json
import tempfile
from pathlib import Path

import msgspec
import pytest

from receiver.errors import SubmissionError
from receiver.outputs.manifest import read_manifest
from receiver.storage import LocalStorage
from receiver.submissions.batch_links import BatchOrigin, link_resubmission, origin_name
from receiver.submissions.policy import Order, Policy
from tests import nasty
from tests.workers.stored_batches import used
from tests.workers.storing import put_input, store
from tests.workers.submissions.stored_submissions import StoredSubmission, request
from tests.workers.submissions.test_merged import follow, put_batch
from tests.workers.submissions.test_merged import put_input as put_keys
from workers.store.manifest import load_manifest
from workers.submissions.merged import view_retries
from workers.submissions.part_results import Reading
from workers.submissions.resending import write_resent

ASKED = [request("k1"), request("k2"), request("k3", maxOutputTokens=5)]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "outputs")


def resent(storage: LocalStorage, folder: Path, batch: str, asked: Path | None = None) -> list[str]:
    """The keys of what would be sent."""
    manifest = load_manifest(storage, batch)
    assert manifest is not None
    target = folder / "resent.jsonl"
    with tempfile.TemporaryDirectory() as scratch:
        given = {} if asked is None else {1: asked}
        reading = Reading(storage, Path(scratch), lambda: None, given)
        count = write_resent(reading, manifest, target)
    keys = [json.loads(line)["key"] for line in target.read_bytes().splitlines()] if count else []
    assert count == len(keys)
    return keys


def record_origin(storage: LocalStorage, stored: StoredSubmission, part: int) -> None:
    origin = BatchOrigin(stored.submission.id, part, len(stored.parts), None)
    storage.put_many([(origin_name(f"b{part}"), msgspec.json.encode(origin))])


def test_what_may_succeed_is_sent(storage: LocalStorage, tmp_path: Path) -> None:
    put_input(storage, b"".join([*ASKED, request("k4"), request("k5")]))
    lines = used("k1"), nasty.failure("k2", 8), used("k3", reason="MAX_TOKENS")
    store(storage, b"\n".join((*lines, nasty.failure("k4", 3))), 5)
    assert resent(storage, tmp_path, "b1") == ["k2", "k3", "k5"]
    last = (tmp_path / "resent.jsonl").read_bytes().splitlines(keepends=True)
    assert last[0] == ASKED[1]
    assert b'"maxOutputTokens":10' in last[1]


def test_what_was_sent_again_counts_with_what_became_of_it(
    storage: LocalStorage, tmp_path: Path
) -> None:
    put_batch(storage, "a", [(key, "error") for key in ("k1", "k2", "k3")], 3, "k1 k2 k3")
    storage.put_many([("a/_retry.jsonl", b'{"key":"k1"}\n{"key":"k2"}\n{"key":"k3"}\n')])
    put_batch(storage, "b", [("k1", "ok"), ("k2", "error")], 2, "k1 k2")
    storage.put_many([("b/_retry.jsonl", b'{"key":"k2"}\n')])
    follow(storage, "a", "b")
    assert resent(storage, tmp_path, "a") == ["k3", "k2"]
    put_keys(storage, "c", "k2")
    follow(storage, "a", "b", "c")  # it is not stored yet
    assert resent(storage, tmp_path, "a") == ["k3"]


def test_what_waits_to_be_sent_again_is_left_out(storage: LocalStorage, tmp_path: Path) -> None:
    """A submission that is linked, before a worker has looked at it."""
    put_batch(storage, "a", [("k1", "error"), ("k2", "error")], 2, "k1 k2")
    storage.put_many([("a/_retry.jsonl", b'{"key":"k1"}\n{"key":"k2"}\n')])
    stored = StoredSubmission.plan(storage, [request("k1")])
    link_resubmission(storage, "batches/a", stored.submission.id)
    assert resent(storage, tmp_path, "a") == ["k2"]
    view = view_retries(storage, "batches/a")
    assert (view.waiting, view.outcomes, len(view.batches)) == (1, {"error": 1}, 1)
    assert (view.resent["k1"].batch, view.resent["k1"].outcome) == (None, None)


def test_link_without_a_plan_changes_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    """The command was killed in between: the same command goes on."""
    put_batch(storage, "a", [("k1", "error")], 1, "k1")
    storage.put_many([("a/_retry.jsonl", b'{"key":"k1"}\n')])
    link_resubmission(storage, "batches/a", "0" * 20)
    assert resent(storage, tmp_path, "a") == ["k1"]


def test_requests_that_are_not_known_are_asked_for(storage: LocalStorage, tmp_path: Path) -> None:
    """It said that nothing is worth sending again, of a batch that failed as a whole."""
    put_batch(storage, "a", [], 2, state="FAILED", index=None)
    with pytest.raises(SubmissionError, match="name their file with --input"):
        resent(storage, tmp_path, "a")
    asked = tmp_path / "asked.jsonl"
    asked.write_bytes(b'{"key":"k1","request":{}}\n{"key":"k2","request":{}}\n')
    assert resent(storage, tmp_path, "a", asked) == ["k1", "k2"]
    assert read_manifest(storage.read("a/_manifest.json") or b"").missing == 2


def test_requests_in_the_form_of_openai_are_refused(storage: LocalStorage, tmp_path: Path) -> None:
    put_input(storage, b'{"custom_id":"k1","method":"POST","body":{"model":"m"}}\n')
    store(storage, b"", 1)
    with pytest.raises(SubmissionError, match="was sent in OpenAI's form"):
        resent(storage, tmp_path, "b1")


def test_submission_that_sends_again_by_itself_is_left_to_it(
    storage: LocalStorage, tmp_path: Path
) -> None:
    """Until it has ended; nothing is paid twice."""
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2")])
    stored.store(1, nasty.failure("k1", 8), nasty.failure("k2", 8))
    record_origin(storage, stored, 1)
    with pytest.raises(SubmissionError, match="sends again by itself what may succeed"):
        resent(storage, tmp_path, "b1")

    stored.plan_round()
    stored.store(2, used("k1"), nasty.failure("k2", 8))
    record_origin(storage, stored, 2)
    stored.finish("rounds")
    assert resent(storage, tmp_path, "b1") == ["k2"]
    view = view_retries(storage, "b1")
    assert ([one.batch for one in view.batches], view.answered) == (["batches/b1", "batches/b2"], 1)

    stored.records.write_order(Order("run", 5000.0))  # it was resumed
    with pytest.raises(SubmissionError, match="sends again by itself what may succeed"):
        resent(storage, tmp_path, "b1")


def test_submission_that_sends_nothing_again_is_open_to_it(
    storage: LocalStorage, tmp_path: Path
) -> None:
    stored = StoredSubmission.plan(storage, [request("k1")], [request("k2")])
    stored.records.write_policy(Policy(rounds=0))
    stored.store(1, nasty.failure("k1", 8))
    record_origin(storage, stored, 1)
    assert resent(storage, tmp_path, "b1") == ["k1"]


def test_round_leaves_out_what_a_person_sent_again(storage: LocalStorage) -> None:
    """It had stopped, its batch was resubmitted, and then it was resumed."""
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2")])
    stored.store(1, nasty.failure("k1", 8), nasty.failure("k2", 8))
    other = StoredSubmission.plan(storage, [request("k2")], model="other")
    link_resubmission(storage, "batches/b1", other.submission.id)
    planned = stored.plan_round()
    assert stored.requests(planned.parts[0].number) == request("k1")
    assert planned.held_back == 0
