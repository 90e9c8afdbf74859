"""Which listed batch a lost call made: the cases where a wrong yes loses requests, and a wrong no
pays twice.
"""

import time
from dataclasses import replace
from typing import Any

import pytest

from receiver.batch_names import add_tag, new_tag, split_tag
from receiver.errors import SubmissionError
from receiver.gemini.operations import Batch
from receiver.submissions.lost_batches import LOOK_BACK_S, Claims, CreateCall, find_batch
from receiver.submissions.records import CreateIntent

NOW = 1_790_000_000.0
TAG = f"{'a' * 20}.1.c66086c3344e"  # the same in each process that collects these tests
TAGGED = CreateCall(CreateIntent(None, "evening", NOW, TAG), "gemini-3.8-flash", 5)
OLD = CreateCall(CreateIntent(None, "evening", NOW), "gemini-3.8-flash", 5)
OLD_FILE = CreateCall(CreateIntent("files/x", "evening", NOW), "gemini-3.8-flash", 5)


def batch(name: str = "batches/x", at: float = NOW, **fields: Any) -> Batch:
    created = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(at))
    plain = Batch(
        name,
        "PENDING",
        "evening",
        "models/gemini-3.8-flash",
        created,
        None,
        5,
        None,
        None,
        None,
        None,
    )
    return replace(plain, **fields)


def find(call: CreateCall, *batches: Batch, claims: Claims | None = None) -> str | None:
    return find_batch(batches, [call], lambda: claims or Claims())


@pytest.mark.parametrize(
    ("call", "listed", "found"),
    [
        (TAGGED, batch(tag=TAG), True),
        (TAGGED, batch(tag=TAG, display_name="renamed", model=None, requests=None), True),
        (TAGGED, batch(tag=TAG, at=NOW - 3600), True),  # our clock is an hour ahead
        (TAGGED, batch(tag=new_tag("a" * 20, 1)), False),
        (TAGGED, batch(), False),  # somebody else's, under the same name
        (OLD, batch(), True),
        (OLD, batch(requests=None, model=None), True),
        (OLD, batch(tag=TAG), False),  # what a call of today made
        (OLD, batch(model="models/gemini-3.5-flash-lite"), False),
        (OLD, batch(requests=4), False),
        (OLD, batch(display_name="morning"), False),
        (OLD, batch(input_file="files/y"), False),
        (OLD, batch(at=NOW - 400), False),
        (OLD, batch(at=NOW + 400), False),
        (OLD_FILE, batch(input_file="files/x", display_name="renamed"), True),
        (OLD_FILE, batch(input_file="files/y"), False),
        (OLD_FILE, batch(), False),
        (replace(OLD, model="gemini-flash-latest"), batch(), True),  # an alias
        (replace(TAGGED, model="models/gemini-3.8-flash"), batch(tag=TAG), True),
    ],
)
def test_batch_is_found_by_what_proves_it(call: CreateCall, listed: Batch, found: bool) -> None:  # noqa: FBT001 - a case
    assert find(call, listed) == (listed.name if found else None)


@pytest.mark.parametrize(
    ("call", "listed"),
    [
        (TAGGED, [batch(tag=TAG), batch("batches/y", tag=TAG)]),  # a copy was made by hand
        (TAGGED, [batch(tag=TAG, requests=4)]),
        (TAGGED, [batch(tag=TAG, model="models/other")]),
        (OLD, [batch(), batch("batches/y")]),
        (OLD_FILE, [batch(input_file="files/x"), batch("batches/y", input_file="files/x")]),
        (OLD_FILE, [batch(input_file="files/x", requests=4)]),
    ],
)
def test_doubt_is_said(call: CreateCall, listed: list[Batch]) -> None:
    with pytest.raises(
        SubmissionError, match=r"batches/x.* this one.*nothing was sent.*--display-name"
    ):
        find(call, *listed)


def test_own_tag_settles_what_names_leave_open() -> None:
    assert find(TAGGED, batch("batches/y"), batch(tag=TAG), batch("batches/z")) == "batches/x"


def test_batch_that_another_record_names_is_not_taken() -> None:
    assert find(OLD, batch(), claims=Claims(frozenset({"batches/x"}))) is None
    assert (
        find(OLD, batch(), batch("batches/y"), claims=Claims(frozenset({"batches/x"})))
        == "batches/y"
    )


def test_call_of_another_submission_is_a_rival() -> None:
    with pytest.raises(SubmissionError, match="may belong to this submission or to another one"):
        find(OLD, batch(), claims=Claims(calls=[OLD]))
    assert find(OLD, batch(), claims=Claims(calls=[replace(OLD, requests=6)])) == "batches/x"
    # That call would have left its tag:
    assert find(OLD, batch(), claims=Claims(calls=[TAGGED])) == "batches/x"


def test_earlier_call_may_be_the_one_that_arrived() -> None:
    late = CreateCall(
        CreateIntent(None, "evening", NOW + 100, new_tag("a" * 20, 1)), "gemini-3.8-flash", 5
    )
    assert find_batch([batch(tag=TAG)], [TAGGED, late], Claims) == "batches/x"


def test_list_is_not_read_to_its_end() -> None:
    def listed() -> Any:
        yield batch("batches/old", at=NOW - LOOK_BACK_S - 1)
        raise AssertionError("the list was read on")

    assert find_batch(listed(), [TAGGED], Claims) is None


@pytest.mark.parametrize(
    "name", ["evening", "", "a\nb", "[stuck]", "x [gbr:1]", "é" * 200, add_tag("twice", TAG)]
)
def test_tag_comes_off_again(name: str) -> None:
    other = new_tag("0f" * 10, 12)
    assert split_tag(add_tag(name, other)) == (name, other)


@pytest.mark.parametrize(
    "name", [None, "", "evening", "evening [gbr:1]", add_tag("a", TAG) + "\n", f"[gbr:{TAG}]"]
)
def test_other_names_have_no_tag(name: str | None) -> None:
    assert split_tag(name) == (name, None)
