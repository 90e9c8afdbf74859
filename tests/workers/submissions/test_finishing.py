import hashlib
import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from receiver.answers.index_rows import StoredRow
from receiver.answers.lookup import read_line
from receiver.errors import LeaseLostError, StorageError
from receiver.outputs.proof_keys import PublicKey, read_signature
from receiver.storage import LocalStorage
from receiver.submissions.policy import Policy
from receiver.submissions.proof import SubmissionManifest, read_submission_manifest
from tests import nasty
from tests.workers.stored_batches import KEY, used
from tests.workers.submissions.stored_submissions import SCHEMA, StoredSubmission, request


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "outputs")


def with_rounds(storage: LocalStorage) -> StoredSubmission:
    """Two parts, then a round of one."""
    asked = [request(f"k{number}") for number in range(1, 8)]
    stored = StoredSubmission.plan(storage, asked[:4], asked[4:])
    blocked = nasty.empty("k4", promptFeedback={"blockReason": "SAFETY"})
    stored.store(1, used("k1"), nasty.failure("k2", 8), nasty.failure("k3", 3), blocked)
    stored.store(2, nasty.empty("k6"), nasty.empty("k5"))
    stored.plan_round()
    stored.store(3, used("k2"), nasty.failure("k5", 8), nasty.empty("k6"))
    return stored


def test_answers_are_in_the_order_of_the_input(storage: LocalStorage) -> None:
    stored = with_rounds(storage)
    stored.finish("rounds")
    found = [(one.request, one.key, one.round, one.batch, one.outcome) for one in stored.answers]
    assert found == [
        (1, "k1", 0, "batches/b1", "ok"),
        (2, "k2", 1, "batches/b3", "ok"),
        (3, "k3", 0, "batches/b1", "error"),
        (4, "k4", 0, "batches/b1", "blocked"),
        (5, "k5", 1, "batches/b3", "error"),
        (6, "k6", 1, "batches/b3", "empty"),
        (7, "k7", 1, "batches/b3", "missing"),
    ]


def test_rows_lead_to_the_bytes(storage: LocalStorage) -> None:
    stored = with_rounds(storage)
    stored.finish()
    for row in stored.answers[:-1]:
        assert row.object is not None
        assert row.offset is not None
        assert row.length is not None
        place = StoredRow(
            1, row.key, row.outcome, row.object, row.offset, row.length, row.sha256 or ""
        )
        assert row.key.encode() in read_line(storage, place)
    missing = stored.answers[-1]
    assert (missing.object, missing.offset, missing.length, missing.sha256) == (None,) * 4


def test_books_balance(storage: LocalStorage) -> None:
    manifest = with_rounds(storage).finish("rounds")
    fates = manifest.answered, manifest.blocked, manifest.failed, manifest.missing
    assert fates == (2, 1, 3, 1)
    assert (manifest.requests, sum(fates), manifest.balanced) == (7, 7, True)
    counts = {"blocked": 1, "empty": 1, "error": 2, "missing": 1, "ok": 2}
    assert manifest.outcomes == counts
    assert (manifest.state, manifest.reason, manifest.rounds) == ("stopped", "rounds", 1)


def test_requests_that_are_not_those_of_the_plan_unsettle_the_books(storage: LocalStorage) -> None:
    stored = with_rounds(storage)
    stored.submission = msgspec.structs.replace(stored.submission, requests=6)
    assert not stored.finish().balanced


def test_every_batch_is_proven_by_its_manifest(storage: LocalStorage) -> None:
    stored = with_rounds(storage)
    manifest = stored.finish()
    assert [(one.batch, one.part, one.round, one.requests) for one in manifest.batches] == [
        ("batches/b1", 1, 0, 4),
        ("batches/b2", 2, 0, 3),
        ("batches/b3", 3, 1, 4),
    ]
    for one in manifest.batches:
        data = storage.read(f"{one.batch.removeprefix('batches/')}/_manifest.json") or b""
        assert one.manifest_sha256 == hashlib.sha256(data).hexdigest()
    answers = storage.read(manifest.answers.name) or b""
    assert manifest.answers.sha256 == hashlib.sha256(answers).hexdigest()


def test_cost_is_exact_or_unknown(storage: LocalStorage) -> None:
    asked = [request("k1")], [request("k2")]
    stored = StoredSubmission.plan(storage, *asked, model="gemini-3.5-flash")
    stored.store(1, used("k1"))
    stored.store(2, used("k2"))
    each = json.loads(storage.read("b1/_manifest.json") or b"")["cost"]["amount"]
    assert stored.finish().cost == 2 * Decimal(each) > 0
    stored.change(2, is_stored=False, lost="its results are gone")
    manifest = stored.finish("lost")
    assert (manifest.cost, manifest.batches[1].manifest_sha256) == (None, None)
    assert [one.outcome for one in stored.answers] == ["ok", "missing"]


def test_what_was_never_sent_cost_nothing(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [request("k1")], [request("k2")])
    manifest = stored.finish("cancelled")
    assert manifest.cost == Decimal(0)
    assert (manifest.batches, manifest.missing) == ([], 2)
    assert [(one.batch, one.outcome, one.round) for one in stored.answers] == [
        (None, "missing", 0)
    ] * 2


def test_answers_that_break_the_schema_are_no_answers(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2")])
    options = {"OUTPUT_FORMS": "json", "RESPONSE_SCHEMA": SCHEMA}
    stored.store(1, used("k1", "no JSON"), used("k2", '{"a": 1}'), **options)
    manifest = stored.finish("rounds")
    assert manifest.outcomes == {"invalid": 1, "ok": 1}
    assert (manifest.answered, manifest.failed) == (1, 1)
    assert stored.answers[0].object == "b1/k1.json"


def test_manifest_is_signed_like_that_of_a_batch(storage: LocalStorage) -> None:
    stored = with_rounds(storage)
    stored.finish(key=KEY)
    data = storage.read(stored.records.manifest_name) or b""
    name = stored.records.signature_name(hashlib.sha256(data).hexdigest())
    signature = read_signature(storage.read(name) or b"")
    assert PublicKey.parse(KEY.public_key).has_signed(data, signature)


def test_second_run_writes_the_same(storage: LocalStorage) -> None:
    stored = with_rounds(storage)

    def proof() -> dict[str, bytes | None]:
        stored.finish("rounds", KEY)
        names = storage.list_names(f"_submissions/{stored.submission.id}")
        return {name: storage.read(name) for name in names}

    assert proof() == proof()


def test_later_round_replaces_the_proof(storage: LocalStorage) -> None:
    """It stopped, and a person let it go on."""
    stored = with_rounds(storage)
    stopped = stored.finish("rounds")
    stored.ordered_at = 2000.0
    stored.plan_round()
    stored.store(4, used("k5"), used("k6"), used("k7"))
    completed = stored.finish()
    assert (stopped.ordered_at, completed.ordered_at) == (1000.0, 2000.0)
    assert (completed.state, completed.answered, completed.rounds) == ("completed", 5, 2)
    assert stored.answers[-1].round == 2
    assert stored.records.read_manifest() == completed


def test_what_a_manifest_says_is_read_again(storage: LocalStorage) -> None:
    stored = with_rounds(storage)
    stored.policy = Policy(max_cost=Decimal("1.20"), rounds=7)
    manifest = stored.finish("budget")
    data = storage.read(stored.records.manifest_name) or b""
    found: SubmissionManifest = read_submission_manifest(data)
    assert found == manifest
    assert json.loads(data)["policy"]["max_cost"] == "1.20"
    assert found.input_sha256 == stored.submission.spec.sha256


def test_answers_are_there_before_the_manifest(storage: LocalStorage) -> None:
    """A worker that loses its lease in between leaves no manifest of what is not there."""
    stored = with_rounds(storage)

    def check() -> None:
        if storage.exists(stored.records.answers_name):
            raise LeaseLostError("somebody else has it")

    with pytest.raises(LeaseLostError):
        stored.finish(key=KEY, check=check)
    assert storage.read(stored.records.manifest_name) is None
    assert len(stored.answers) == 7


def test_requests_that_lost_a_line_are_named(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [b'{"request":{}}\n'])
    with pytest.raises(StorageError, match="request 1 of part 1 has no key"):
        stored.finish()
