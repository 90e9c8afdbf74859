"""What `batches submit` leaves in the storage, in which order, and what it changes later."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from receiver.errors import SubmissionError
from receiver.storage import LocalStorage
from receiver.submissions.planning import SubmitRequest, check_input, draft_submission
from receiver.submissions.policy import Order, Policy
from receiver.submissions.records import SubmissionRecords, requests_name
from receiver.submissions.settling import Settled, intend, settle
from tests.receiver.submissions.submitting import MODEL
from tests.system_calls import require_strace, run_traced

TARGET = re.compile(r'"([^"]*)"[^"]*$')


def submit(source: Path, change: Mapping[str, Any], max_requests: int | None = None) -> Settled:
    storage = LocalStorage(source.parent / "outputs")
    request = SubmitRequest("", MODEL, max_requests=max_requests)
    draft = draft_submission(source, request, check_input(source, request))
    return settle(storage, source, intend(storage, source, draft, change))


def records_of(source: Path, settled: Settled) -> SubmissionRecords:
    return SubmissionRecords(LocalStorage(source.parent / "outputs"), settled.submission.id)


def contents(source: Path) -> dict[str, bytes | None]:
    storage = LocalStorage(source.parent / "outputs")
    return {name: storage.read(name) for name in storage.list_names("")}


def test_plan_comes_last(source: Path) -> None:
    """Whoever finds a plan must not send it under another policy than the user's."""
    require_strace()
    run = run_traced(submit, source, {"rounds": 1}, 3)
    moves = [call for call in run.calls if call.name.startswith(("rename", "link"))]
    done = [call.what.removesuffix(" = 0") for call in moves if call.what.endswith(" = 0")]
    targets = [Path(found[1]) for what in done if (found := TARGET.search(what))]
    named = [one.name for one in targets if one.parent.name != "_requests"]
    assert named == ["policy.json", "command.json", "plan.json"]
    requests = {one for one in targets if one.parent.name == "_requests"}
    assert (len(requests), targets[-1].name) == (2, "plan.json")
    assert {one.parent.name for one in targets[:-3]} == {"_requests"}


def test_requests_are_kept_by_their_hash(source: Path) -> None:
    settled = submit(source, {}, max_requests=2)
    storage = LocalStorage(source.parent / "outputs")
    assert all(storage.exists(requests_name(one.sha256)) for one in settled.submission.parts)
    assert len(storage.list_names("_requests")) == len(settled.submission.parts) == 3


def test_same_again_changes_nothing(source: Path) -> None:
    first = submit(source, {"rounds": 1})
    records, before = records_of(source, first), contents(source)
    assert submit(source, {}, max_requests=1).submission.parts == first.submission.parts
    assert contents(source) == before
    assert records.read_policy() == Policy(rounds=1)


def test_lost_requests_are_kept_again(source: Path) -> None:
    settled, storage = submit(source, {}), LocalStorage(source.parent / "outputs")
    (part,) = settled.submission.parts
    storage.delete(requests_name(part.sha256))
    submit(source, {})
    assert storage.exists(requests_name(part.sha256))


def test_changed_file_is_kept_as_nothing(source: Path) -> None:
    storage, request = LocalStorage(source.parent / "outputs"), SubmitRequest("", MODEL)
    draft = draft_submission(source, request, check_input(source, request))
    intended = intend(storage, source, draft, {})
    source.write_text(source.read_text().replace("Hi", "Ho"))
    with pytest.raises(SubmissionError, match="has changed since it was checked"):
        settle(storage, source, intended)
    assert storage.list_names("_submissions") == []


def test_plan_of_an_earlier_version_gets_an_order(source: Path) -> None:
    """It had neither policy nor order, and nothing of it is sent again unless that is stated."""
    storage, request = LocalStorage(source.parent / "outputs"), SubmitRequest("", MODEL)
    draft = draft_submission(source, request, check_input(source, request))
    SubmissionRecords(storage, draft.id).settle_plan(draft)
    settled = submit(source, {})
    records = records_of(source, settled)
    assert records.read_policy() == Policy(rounds=0)
    assert records.read_order().at == pytest.approx(time.time(), abs=60)
    submit(source, {"rounds": 2})
    assert records.read_policy() == Policy(rounds=2)


@pytest.mark.parametrize("command", ["pause", "cancel"])
def test_order_of_a_person_stays(source: Path, command: Any) -> None:
    records = records_of(source, submit(source, {}))
    records.write_order(Order(command, 5.0))
    again = submit(source, {"rounds": 2})
    assert (again.command, records.read_order(), again.is_finished) == (
        command,
        Order(command, 5.0),
        False,
    )
