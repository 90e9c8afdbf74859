"""What is checked, uploaded and kept is one content, whenever the file changes."""

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.errors import SubmissionError, UnsureCallError
from receiver.gemini.batches import Gemini
from receiver.gemini.files import Files
from receiver.storage import LocalStorage
from receiver.submissions.records import Uploaded, requests_name
from receiver.submissions.stored_requests import store_requests
from receiver.submissions.submitter import SentPart
from tests.forwarding import Gate
from tests.receiver.submissions.submitting import (
    made,
    planned,
    sender_of,
    settled,
    stored_input,
    submit,
)


def rewrite(source: Path) -> None:
    """Other words in as many bytes."""
    source.write_text(source.read_text().replace("Hi", "Ho"))


def shorten(source: Path) -> None:
    source.write_bytes(b"".join(source.read_bytes().splitlines(keepends=True)[:3]))


def replace(source: Path) -> None:
    other = source.with_name("other")
    other.write_text(source.read_text().replace("Hi", "Ho"))
    other.replace(source)


def lengthen_first(source: Path) -> None:
    source.write_bytes(b" " + source.read_bytes())


def delete(source: Path) -> None:
    source.unlink()


CHANGES = [rewrite, shorten, replace, lengthen_first, delete]


@pytest.mark.parametrize("change", CHANGES)
def test_input_that_changed_after_the_check_is_not_stored(
    source: Path, change: Callable[[Path], None]
) -> None:
    submission, storage = settled(source), LocalStorage(source.parent / "outputs")
    change(source)
    with pytest.raises(SubmissionError, match=r"has changed since|No such file"):
        store_requests(storage, source, submission)
    assert storage.list_names("_requests") == []


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("when", ["/upload/", ":batchGenerateContent"])
@pytest.mark.parametrize("change", CHANGES)
def test_input_that_changes_on_its_way_is_kept_as_sent(
    gate: Gate,
    source: Path,
    change: Callable[[Path], None],
    when: str,
    inline: bool,  # noqa: FBT001 - a case
) -> None:
    checked = source.read_bytes()
    gate.hear = lambda path: change(source) if when in path and source.exists() else None
    (sent,) = submit(gate, source, inline=inline)
    assert stored_input(source, sent) == checked
    if not inline:
        assert uploaded_hash(gate, sent) == hashlib.sha256(checked).hexdigest()


def test_second_part_stops_where_the_input_changed(gate: Gate, source: Path) -> None:
    """The first part stays stored; the same content goes on with the second, and is sent once."""
    submission, storage = settled(source, max_requests=3), LocalStorage(source.parent / "outputs")
    before = source.read_bytes()

    def change_after_first(_size: int) -> None:
        if source.read_bytes() == before:
            rewrite(source)

    with pytest.raises(SubmissionError, match="has changed since it was checked"):
        store_requests(storage, source, submission, change_after_first)
    assert storage.list_names("_requests") == [requests_name(submission.parts[0].sha256)]

    source.write_bytes(before)
    sent = submit(gate, source, max_requests=3)
    assert [one.status for one in sent] == ["created", "created"]
    assert b"".join(stored_input(source, one) for one in sent) == before


def test_requests_are_stored_once(source: Path) -> None:
    submission, storage = settled(source), LocalStorage(source.parent / "outputs")
    store_requests(storage, source, submission)
    (name,) = storage.list_names("_requests")
    before = (storage.root / name).stat()
    source.unlink()  # whoever has them stored needs no file
    store_requests(storage, source, submission)
    assert (storage.root / name).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "the requests of part 1 are not in the storage"),
        (lambda path: path.write_bytes(b""), "does not hold what was submitted"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "does not hold what was submitted"),
        (lambda path: path.write_bytes(gzip.compress(b"x\n")), "does not hold what was submitted"),
        (lambda path: path.write_bytes(b"no gzip"), "does not hold what was submitted"),
    ],
)
def test_requests_that_are_gone_or_damaged_are_not_sent(
    gate: Gate, source: Path, damage: Callable[[Path], None], words: str
) -> None:
    submission, part, records = planned(source)
    stored = source.parent / "outputs" / requests_name(part.sha256)
    damage(stored)
    with Gemini(gate.url, "right-key") as gemini, pytest.raises(SubmissionError, match=words):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert (gate.paths, records.attempts(part)) == ([], [])
    stored.unlink(missing_ok=True)
    assert submit(gate, source)[0].status == "created"


def test_batch_whose_input_is_not_kept_gets_it_later(gate: Gate, source: Path) -> None:
    """A crash between create and keep."""
    (sent,) = submit(gate, source)
    submission, part, records = planned(source)
    outputs = source.parent / "outputs"
    (outputs / sent.batch.removeprefix("batches/") / "_input.jsonl.gz").unlink()
    (outputs / "_submissions" / submission.id / "1.kept.json").unlink()
    with Gemini(gate.url, "right-key") as gemini:
        found = sender_of(gemini, submission, source).find(part, source.parent)
    assert found == SentPart(part, sent.batch, "known")
    assert stored_input(source, sent) == source.read_bytes()
    assert records.has_mark(part, "kept")


def test_lost_batch_is_noted_though_its_requests_are_gone(gate: Gate, source: Path) -> None:
    submission, part, records = planned(source)
    gate.what = "lose"
    with pytest.raises(UnsureCallError, match="nobody knows"):
        submit(gate, source)
    gate.what = "pass"
    (source.parent / "outputs" / requests_name(part.sha256)).unlink()
    with (
        Gemini(gate.url, "right-key") as gemini,
        pytest.raises(SubmissionError, match="are not in the storage"),
    ):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert records.created(part) is not None
    assert made(gate) == 1


def test_upload_that_holds_other_bytes_makes_no_batch(gate: Gate, source: Path) -> None:
    """The uploaded file that a record names turns out to hold something else."""
    submission, part, records = planned(source)
    other = b'{"key": "k", "request": {"contents": [{"parts": [{"text": "other"}]}]}}\n'
    with Gemini(gate.url, "right-key") as gemini:
        file = Files(gemini.transport).upload(io.BytesIO(other), len(other), "other")
        records.write_uploaded(part, Uploaded(file.name))
        sent = sender_of(gemini, submission, source).send(part, source.parent)
    assert uploaded_hash(gate, sent) == part.sha256


def test_plan_of_the_older_version_goes_on(gate: Gate, source: Path) -> None:
    """It names no hash of its parts, and was split in another way than the input would be today."""
    submission, _, _ = planned(source, max_requests=2)
    plan = source.parent / "outputs" / "_submissions" / submission.id / "plan.json"
    old = json.loads(plan.read_bytes())
    for part in old["parts"]:
        del part["sha256"]
    plan.write_text(json.dumps(old))
    sent = submit(gate, source)
    assert [one.part.requests for one in sent] == [2, 2, 1]
    assert b"".join(stored_input(source, one) for one in sent) == source.read_bytes()


def test_carriage_return_between_tokens_goes_inline(gate: Gate, source: Path) -> None:
    source.write_bytes(source.read_bytes().replace(b", ", b",\r ").replace(b"\n", b"\r\n"))
    (sent,) = submit(gate, source, inline=True)
    assert stored_input(source, sent) == source.read_bytes()
    with Gemini(gate.url, "right-key") as gemini:
        assert gemini.get_batch(sent.batch).requests == 5


def uploaded_hash(gate: Gate, sent: SentPart) -> str | None:
    with Gemini(gate.url, "right-key") as gemini:
        file = gemini.get_batch(sent.batch).input_file
        assert file is not None
        return Files(gemini.transport).get(file).sha256
