"""The request of a key is found where the requests of its batch lie."""

import gzip
from pathlib import Path

import msgspec
import pytest

from receiver.answers.packed_lines import (
    BLOCK_BYTES,
    MAX_LINE_BYTES,
    SearchLimitError,
    SearchLimits,
)
from receiver.answers.requests import find_request
from receiver.errors import StorageError
from receiver.outputs.paths import input_name
from receiver.storage import LocalStorage
from receiver.submissions.batch_links import BatchOrigin, origin_name
from receiver.submissions.records import SubmissionRecords, requests_name
from receiver.submissions.stored_requests import places_of_requests
from receiver.submissions.submission import Part, Submission, SubmissionSpec

LINES = (
    b'{"key":"one","request":{}}',
    b'{"request":{"contents":[]},"metadata":{"key":"two\\u002f"}}',
    b"",
    b'\xef\xbb\xbf{"key":"\\ud800"}',
    b'{"custom_id":"four","key":"other","body":{}}',
    b'{"id":"five","key":"six"}',
    b'{"key":"s\\u0065ven"}',
    b'{"key":"a\\/b"}',
    b'{"key":"\\t\\"\xc3\xa4"}',
    b'{"key":""}',
)


def put(storage: LocalStorage, name: str, data: bytes) -> None:
    storage.put_many([(name, gzip.compress(data, 1))])


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("one", 0),
        ("two/", 1),
        ("\ud800", 3),
        ("four", 4),
        ("six", 5),
        ("seven", 6),
        ("a/b", 7),
        ('\t"ä', 8),
        ("", 9),
    ],
)
def test_request_is_found_by_the_rule_that_holds_for_results(
    storage: LocalStorage, key: str, number: int
) -> None:
    put(storage, input_name("b1"), b"\n".join(LINES))
    found = find_request(storage, places_of_requests(storage, "b1"), key)
    assert found is not None
    assert (found.line, found.object) == (LINES[number], "b1/_input.jsonl.gz")


def test_result_key_comes_first(storage: LocalStorage) -> None:
    put(storage, "r", b"\n".join(LINES))
    found = find_request(storage, ["r"], "five", "id")
    assert found is not None
    assert found.line == LINES[5]
    assert find_request(storage, ["r"], "five") is None
    put(storage, "numbers", b'{"metadata":{"id":1.0},"key":"x"}')
    assert find_request(storage, ["numbers"], "1.0", "id") is not None


def record_origin(storage: LocalStorage) -> None:
    """`batches/b1` is the second part of a submission."""
    spec = SubmissionSpec("", "m", "generate", False, "n", False, None, {}, None, "a" * 64)
    parts = tuple(Part(number, 1, 0, 9, 1, str(number) * 64) for number in (1, 2))
    records = SubmissionRecords(storage, spec.id)
    records.settle_plan(Submission(spec.id, spec, "f", 2, parts))
    origin = BatchOrigin(spec.id, 2, 2, None)
    storage.put_many([(origin_name("b1"), msgspec.json.encode(origin))])


def test_requests_of_a_part_are_found_by_their_hash(storage: LocalStorage) -> None:
    assert find_request(storage, places_of_requests(storage, "b1"), "one") is None
    record_origin(storage)
    assert find_request(storage, places_of_requests(storage, "b1"), "one") is None
    put(storage, requests_name("1" * 64), b'{"key":"one","of":"another part"}')
    put(storage, requests_name("2" * 64), LINES[0])
    found = find_request(storage, places_of_requests(storage, "b1"), "one")
    assert found is not None
    assert (found.line, found.object) == (LINES[0], requests_name("2" * 64))


def test_search_is_bounded(storage: LocalStorage) -> None:
    long = b'{"request":"%s","key":"two"}' % (b"x" * (BLOCK_BYTES * 3))
    put(storage, "long", b"\n".join((LINES[0], long, LINES[3])))
    found = find_request(storage, ["long"], "two")
    assert found is not None
    assert found.line == long
    narrow = SearchLimits(BLOCK_BYTES, 60)
    assert find_request(storage, ["long"], "one", limits=SearchLimits(BLOCK_BYTES * 4, 60))
    with pytest.raises(SearchLimitError):
        find_request(storage, ["long"], "two", limits=narrow)


def test_line_without_end_takes_no_memory(storage: LocalStorage) -> None:
    put(storage, "endless", b" " * (MAX_LINE_BYTES + 2 * BLOCK_BYTES))
    with pytest.raises(StorageError, match="endless has a line of over 32 MiB"):
        find_request(storage, ["endless"], "one")
