"""What is checked, uploaded and kept is one content, whenever the file changes."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.errors import SubmissionError
from receiver.gemini.batches import Gemini
from receiver.gemini.files import Files
from receiver.submissions.records import Uploaded
from receiver.submissions.submitter import SentPart
from tests.forwarding import Gate
from tests.receiver.submissions.submitting import (
    made,
    planned,
    sender_of,
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


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_input_that_changed_after_the_check_is_not_sent(
    gate: Gate,
    source: Path,
    change: Callable[[Path], None],
    inline: bool,  # noqa: FBT001 - a case
) -> None:
    submission, part, _ = planned(source, inline=inline)
    change(source)
    with (
        Gemini(gate.url, "right-key") as gemini,
        pytest.raises(SubmissionError, match="nothing of part 1 was sent"),
    ):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert gate.paths == []


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
    """The first part stays sent and kept; the same content goes on with the second."""
    before = source.read_bytes()
    gate.hear = lambda path: rewrite(source) if ":batchGenerateContent" in path else None
    with pytest.raises(
        SubmissionError, match="has changed since it was checked: nothing of part 2 was sent"
    ):
        submit(gate, source, max_requests=3)
    gate.hear = lambda _path: None
    source.write_bytes(before)
    sent = submit(gate, source, max_requests=3)
    assert [one.status for one in sent] == ["known", "created"]
    assert b"".join(stored_input(source, one) for one in sent) == before


def test_batch_whose_input_is_not_kept_says_so(gate: Gate, source: Path) -> None:
    """A crash between create and keep, and then the file is another while it is checked anew."""
    (sent,) = submit(gate, source)
    submission, part, _ = planned(source)
    kept = source.parent / "outputs" / sent.batch.removeprefix("batches/") / "_input.jsonl.gz"
    kept.unlink()
    before = source.read_bytes()
    rewrite(source)
    words = (
        f"part 1 is {sent.batch}, but its input is not kept: .* has changed since it was checked"
    )
    with Gemini(gate.url, "right-key") as gemini, pytest.raises(SubmissionError, match=words):
        sender_of(gemini, submission, source).send(part, source.parent)
    source.write_bytes(before)
    assert submit(gate, source)[0].status == "known"
    assert stored_input(source, sent) == before


def test_lost_batch_is_noted_though_its_input_changed(gate: Gate, source: Path) -> None:
    submission, part, records = planned(source)
    gate.what = "lose"
    with pytest.raises(SubmissionError, match="nobody knows"):
        submit(gate, source)
    gate.what = "pass"
    rewrite(source)
    with (
        Gemini(gate.url, "right-key") as gemini,
        pytest.raises(SubmissionError, match="but its input is not kept"),
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
