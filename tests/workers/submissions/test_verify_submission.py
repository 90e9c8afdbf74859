"""What somebody who may write to the storage does to a submission, and what `verify` finds."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from receiver.outputs.proof_keys import PublicKey
from receiver.storage import LocalStorage
from receiver.submissions.policy import Order
from receiver.submissions.records import Created, Round, SubmissionRecords
from tests import nasty
from tests.workers.stored_batches import KEY, OTHER_KEY, used
from tests.workers.storing import store
from tests.workers.submissions.stored_submissions import SCHEMA, StoredSubmission, request
from tests.workers.submissions.tamperings import MODEL, TAMPERINGS, Copied
from workers.verification.findings import SubmissionReport

CHECKED = {"OUTPUT_FORMS": "json", "RESPONSE_SCHEMA": SCHEMA}
PUBLIC, OTHER = PublicKey.parse(KEY.public_key), PublicKey.parse(OTHER_KEY.public_key)


def make(folder: Path) -> StoredSubmission:
    """Two parts, a round of what failed, and a last one that finds nothing."""
    asked = [request(f"k{number}") for number in range(1, 7)]
    stored = StoredSubmission.plan(LocalStorage(folder), asked[:3], asked[3:], model=MODEL)
    stored.store(1, used("k1", '{"a": 1}'), nasty.failure("k2", 8), used("k3", "no"), **CHECKED)
    blocked = nasty.empty("k5", promptFeedback={"blockReason": "SAFETY"})
    stored.store(2, used("k4", '{"a": 2}'), blocked, **CHECKED)
    stored.plan_round()
    answers = (used(f"k{number}", '{"a": 3}') for number in (2, 3, 6))
    stored.store(3, *answers, **CHECKED)
    stored.plan_round()
    stored.finish(key=KEY)
    return stored


def said(report: SubmissionReport) -> str:
    return "\n".join(map(str, report.findings))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("original") / "outputs"
    return folder, make(folder).submission.id


@pytest.fixture
def copied(original: tuple[Path, str], tmp_path: Path) -> Copied:
    folder, submission_id = original
    shutil.copytree(folder, tmp_path / "outputs")
    return Copied(LocalStorage(tmp_path / "outputs"), submission_id)


@pytest.mark.parametrize("with_batches", [True, False])
def test_untouched_submission_is_proven(copied: Copied, *, with_batches: bool) -> None:
    report = copied.verify(OTHER, PUBLIC, with_batches=with_batches)
    assert report.off == 0, said(report)
    assert (report.signed_by, report.requests, report.notes) == (KEY.public_key, 6, [])
    assert [one.batch for one in report.batches] == [
        f"batches/b{number}" for number in (1, 2, 3) if with_batches
    ]


def test_another_key_proves_nothing(copied: Copied) -> None:
    report = copied.verify(OTHER)
    assert f"another key has signed: {KEY.public_key}" in said(report)


# They say how it was sent, not what came of it; the last two may change at any time.
NOT_PROVEN = {"policy.json", "command.json"}


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def objects_of(folder: Path) -> list[str]:
    return [name for name in LocalStorage(folder).list_names("") if not name.startswith(".tmp")]


def test_every_object_is_proven(original: tuple[Path, str], tmp_path: Path) -> None:
    """A byte changed in the middle, the end cut off, or the whole taken away."""
    folder, submission_id = original
    changes: dict[str, Callable[[bytes], bytes | None]] = {
        "changed": lambda data: flip(data, len(data) // 2) if data else b"{}",
        "cut": lambda data: data[: len(data) // 2],
        "deleted": lambda _: None,
    }
    missed = []
    shutil.copytree(folder, tmp_path / "outputs")
    copied = Copied(LocalStorage(tmp_path / "outputs"), submission_id)
    names = objects_of(folder)
    assert len(names) > 30
    for name in names:
        data = copied.read(name)
        for what, change in changes.items():
            changed = change(data)
            if changed == data:  # an empty object can't be cut
                continue
            if changed is None:
                copied.storage.delete(name)
            else:
                copied.put(name, changed)
            if not copied.verify(PUBLIC).off:
                missed.append((name.rpartition("/")[2], what))
        copied.put(name, data)
    assert {name for name, _ in missed} <= NOT_PROVEN, missed
    assert copied.verify(PUBLIC).off == 0


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found(copied: Copied, name: str) -> None:
    spoil, plainly, words = TAMPERINGS[name]
    spoil(copied)
    plain, signed = copied.verify(), copied.verify(PUBLIC)
    assert (plain.off > 0) is plainly, said(plain)
    assert words in said(plain)
    assert signed.off > 0


def test_records_alone_are_proven_without_the_objects(copied: Copied) -> None:
    """Quickly: the digests of all that names an object."""
    copied.edit("b1/k1.json", lambda data: data.replace(b"hello", b"hallo") + b" ")
    assert copied.verify(with_batches=False).off == 0
    assert copied.verify().off > 0
    copied.edit("b3/_index.jsonl.gz", lambda data: data[:-9])
    assert "b3/_index.jsonl.gz: its sha256" in said(copied.verify(with_batches=False))


def test_submission_that_went_on_is_proven_as_it_had_ended(copied: Copied) -> None:
    """A person resumed it, and its next proof is still to come."""
    records = SubmissionRecords(copied.storage, copied.id)
    records.write_order(Order("run", 5000.0))
    part = msgspec.structs.replace(records.parts()[-1], number=4, round=3)
    records.record_round(Round(3, is_rescue=False, parts=(part,)))
    records.write_created(part, Created("batches/b4"))
    report = copied.verify(PUBLIC)
    assert report.off == 0, said(report)


def test_results_that_came_after_the_end_are_noted(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    stored = StoredSubmission.plan(storage, [request("k1")], [request("k2")])
    stored.store(1, used("k1"))
    stored.send(2)
    stored.change(2, lost="its results are gone")
    stored.finish("lost")
    copied = Copied(storage, stored.submission.id)
    assert (copied.verify().off, copied.verify().notes) == (0, [])
    store(storage, used("k2"), 1, batch_id="b2")
    report = copied.verify()
    assert report.off == 0
    assert "batches/b2: its results were lost" in report.notes[0]


def test_requests_without_a_last_newline_are_proven(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2").rstrip()])
    stored.store(1, used("k1"), nasty.failure("k2", 8))
    stored.plan_round()
    stored.store(2, used("k2"))
    stored.plan_round()
    stored.finish()
    assert Copied(storage, stored.submission.id).verify().off == 0


def test_second_line_of_a_key_does_not_unsettle_the_submission(tmp_path: Path) -> None:
    """The books of its batch do not balance; each request has one outcome all the same."""
    storage = LocalStorage(tmp_path / "outputs")
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2")])
    stored.store(1, used("k1"), used("k1", "again"), used("k2"))
    stored.plan_round()
    assert stored.finish().balanced
    report = Copied(storage, stored.submission.id).verify()
    assert report.off == 0, said(report)
    assert report.notes == ["batches/b1: its own books: it says itself that they do not balance"]
