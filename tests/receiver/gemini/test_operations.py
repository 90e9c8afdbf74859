"""Gemini's descriptions of batches in shapes that nobody promised: what is read, and what is named
and left.
"""

import json
from typing import Any

import pytest

from receiver.errors import UnreadableBatchError
from receiver.gemini.operations import Batch, Unread, read_batch, read_listed

FILE = {"responsesFile": "files/batch-x"}
OTHER_FILE = {"responsesFile": "files/batch-y"}
STORED_ELSEWHERE = {"responsesFile": "gs://bucket/results.jsonl"}


def described(**members: Any) -> bytes:
    return json.dumps(
        {"name": "batches/x", "metadata": {"state": "BATCH_STATE_SUCCEEDED"}} | members
    ).encode()


UNREADABLE = {
    "a number": b"5",
    "nothing": b"null",
    "a list": b'["batches/x"]',
    "no name": b'{"metadata":{}}',
    "empty name": described(name=""),
    "name that is a number": described(name=7),
    "name of another kind": described(name="operations/x"),
    "name with a path": described(name="batches/../files/x"),
    "metadata that is a list": described(metadata=[]),
    "metadata that is text": described(metadata="BATCH_STATE_SUCCEEDED"),
    "output that is text": described(response="files/batch-x"),
    "file elsewhere": described(response=STORED_ELSEWHERE),
    "file that is a number": described(response={"responsesFile": 5}),
    "two files": described(response=FILE, metadata={"output": OTHER_FILE}),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cant_be_read_is_named_with_its_reason(name: str) -> None:
    found = read_listed(UNREADABLE[name])
    assert isinstance(found, Unread)
    assert found.reason
    assert len(found.name) < 300


@pytest.mark.parametrize(
    "name",
    [name for name, text in UNREADABLE.items() if b'"batches/x"' in text and text[:1] == b"{"],
)
def test_the_same_answer_to_get_is_an_error_of_this_batch_alone(name: str) -> None:
    with pytest.raises(UnreadableBatchError) as told:
        read_batch(UNREADABLE[name], "batches/x")
    assert (told.value.fault, told.value.retryable) == ("refused", False)


def read(**members: Any) -> Batch:
    found = read_listed(described(**members))
    assert isinstance(found, Batch)
    return found


@pytest.mark.parametrize("state", [5, None, [], {}, "", "STATE_", "WHATEVER"])
def test_odd_state_is_no_end(state: object) -> None:
    assert not read(metadata={"state": state}).is_terminal


@pytest.mark.parametrize(
    "state", ["JOB_STATE_PARTIALLY_SUCCEEDED", "BATCH_STATE_NEW_WORD", "BATCH_STATE_RUNNING", 5]
)
def test_done_is_an_end_whatever_the_state(state: object) -> None:
    assert read(metadata={"state": state}, done=True).is_terminal


@pytest.mark.parametrize("done", [False, None, "true", 1])
def test_nothing_but_true_is_done(done: object) -> None:
    assert not read(metadata={"state": "BATCH_STATE_RUNNING"}, done=done).is_terminal


ODD_COUNTS: list[object] = [-1, 1.5, 1e300, True, "many", "", "٣", "9" * 5000, [], {}]
ODD_MOMENTS: list[object] = [
    "yesterday",
    "",
    1795879169,
    None,
    [],
    "2026-11-22",
    "0001-01-01T00:00:00+14:00",
]


@pytest.mark.parametrize(
    ("count", "requests"),
    [("7", 7), (7, 7), ("007", 7), (0, 0), *((odd, None) for odd in ODD_COUNTS)],
)
def test_absurd_count_is_unknown(count: object, requests: int | None) -> None:
    assert read(metadata={"batchStats": {"requestCount": count}}).requests == requests


@pytest.mark.parametrize("stats", [[], "5", 5, None, {"requestCount": None}])
def test_odd_counts_take_nothing_else_with_them(stats: object) -> None:
    batch = read(metadata={"state": "BATCH_STATE_SUCCEEDED", "batchStats": stats}, response=FILE)
    assert (batch.requests, batch.result_file) == (None, "files/batch-x")


@pytest.mark.parametrize(
    ("written", "ended"),
    [
        ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z"),
        ("2026-11-22T12:00:00.123456789Z", "2026-11-22T12:00:00.123456789Z"),
        ("2026-11-22T12:00:00+02:00", "2026-11-22T10:00:00.000000Z"),
        *((odd, None) for odd in ODD_MOMENTS),
    ],
)
def test_odd_moment_is_unknown(written: object, ended: str | None) -> None:
    assert read(metadata={"endTime": written}).ended == ended


@pytest.mark.parametrize("error", ["it broke", 5, [], {"code": "13"}, {"message": 5}])
def test_odd_error_takes_nothing_else_with_it(error: object) -> None:
    assert read(error=error, response=FILE).result_file == "files/batch-x"


def test_unknown_type_is_read_by_its_members() -> None:
    batch = read(
        metadata={
            "@type": "type.googleapis.com/new.Batch",
            "state": "BATCH_STATE_SUCCEEDED",
            "output": FILE,
        }
    )
    assert (batch.state, batch.result_file) == ("SUCCEEDED", "files/batch-x")


def test_one_good_file_beside_a_bad_one_is_taken() -> None:
    assert read(metadata={"output": STORED_ELSEWHERE}, response=FILE).result_file == "files/batch-x"


def test_plain_list_of_responses_is_read() -> None:
    assert read_batch(
        described(response={"inlinedResponses": [{"n": 1}]}), "batches/x"
    ).inlined == (b'{"n":1}',)


def test_inlined_responses_that_contradict_are_not_taken() -> None:
    two = {"inlinedResponses": {"inlinedResponses": [{"n": 1}, {"n": 2}]}}
    one = {"inlinedResponses": {"inlinedResponses": [{"n": 1}]}}
    with pytest.raises(UnreadableBatchError, match="twice, but 2 and 1 of them"):
        read_batch(described(metadata={"output": two}, response=one), "batches/x")


@pytest.mark.parametrize(
    ("members", "lacks"),
    [
        ({}, True),
        ({"error": {"code": 13}}, True),
        ({"metadata": {"state": "BATCH_STATE_FAILED"}}, False),
        ({"metadata": {"state": "BATCH_STATE_RUNNING"}}, False),
        ({"metadata": {"state": "BATCH_STATE_RUNNING"}, "done": True}, True),
        (
            {"metadata": {"state": "BATCH_STATE_NEW_WORD"}, "done": True, "error": {"code": 13}},
            False,
        ),
        ({"metadata": {"state": "BATCH_STATE_NEW_WORD"}, "done": True, "response": FILE}, False),
    ],
)
def test_results_are_awaited_where_they_must_be(members: dict[str, Any], *, lacks: bool) -> None:
    assert read(**members).lacks_output is lacks
