import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from receiver.answers.requests import read_key
from receiver.errors import LeaseLostError, StorageError
from receiver.outputs.manifest import Source, encode_manifest, read_manifest
from receiver.outputs.outcomes import Outcome
from receiver.outputs.paths import input_name, manifest_name
from receiver.storage import LocalStorage, Storage
from tests import nasty
from tests.workers.storing import BATCH, PER_KEY, PRICES, put_input, store
from workers.results.key_set import RECENT_KEYS
from workers.results.result_counts import Balance, KeyComparison, ResultCounts
from workers.results.rules import Result
from workers.store.batch_input import BatchInput
from workers.store.manifest import ManifestInputs, Written, build_manifest


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "outputs")


def request(key: str, **more: Any) -> bytes:
    return json.dumps(
        {"key": key, "request": {"contents": [{"parts": [{"text": "1.10"}]}]}} | more
    ).encode()


def retries(storage: LocalStorage) -> bytes:
    data = storage.read("b1/_retry.jsonl")
    assert data is not None
    return data


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"key":"k","request":{}}', "k"),
        (b'{"request":{},"key":"k"}\r', "k"),
        (b'\xef\xbb\xbf{"key":"k"}', "k"),
        (b'{"request":{},"metadata":{"key":"k"}}', "k"),
        (b'{"key":"k","metadata":{"key":"other"}}', "k"),
        (b'{"key":1,"metadata":{"key":"k"}}', "1"),
        (b'{"custom_id":"c","method":"POST","url":"/v1","body":{}}', "c"),
        (b'{"custom_id":"c","request":{},"key":"k"}', "k"),
        (b'{"custom_id":"c","request":{}}', None),
        (b'{"key":"\\ud800"}', "\ud800"),
        (b'{"key":null}', None),
        (b'{"metadata":[]}', None),
        (b'"k"', None),
        (b"no json", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_key_is_read_as_in_results(line: bytes, key: str | None) -> None:
    assert read_key(line) == key


def test_unknown_input_is_none(storage: LocalStorage, tmp_path: Path) -> None:
    assert BatchInput.fetch(storage, "b1", tmp_path, lambda: None) is None


def test_missing_requests_are_named(storage: LocalStorage) -> None:
    put_input(storage, b"\n".join(request(key) for key in ("c", "a", "l" * 99, "b", "\ud800")))
    manifest = store(storage, nasty.answer("a") + b"\n" + nasty.answer("b"), 5)
    assert (manifest.requests, manifest.missing, manifest.balanced) == (5, 3, True)
    assert manifest.missing_keys == ["c", "l" * 99, "\ud800"]
    stored = storage.read(manifest_name("b1"))
    assert stored is not None
    assert read_manifest(stored) == manifest


def compared(
    storage: Storage, scratch: Path, results: list[Result], asked: list[str]
) -> tuple[ResultCounts, KeyComparison, list[str]]:
    """The results counted, compared with the requests that were asked for, and missing keys."""
    put_input(storage, b"\n".join(request(key) for key in asked))
    batch_input = BatchInput.fetch(storage, "b1", scratch, lambda: None)
    assert batch_input is not None
    assert batch_input.record.requests == len(asked)
    counts = ResultCounts(scratch)
    for result in results:
        counts.add(result)
    comparison = batch_input.compare(counts)
    return counts, comparison, batch_input.missing_keys(comparison)


def ok(*keys: str) -> list[Result]:
    return [Result(key, Outcome.OK) for key in keys]


@pytest.mark.parametrize(
    ("results", "asked", "expected", "missing_keys"),
    [
        (ok("a", "b"), ["a", "b"], Balance(0, balanced=True), []),
        (ok("b"), ["c", "b", "a"], Balance(2, balanced=True), ["c", "a"]),
        (ok("a", "x"), ["a", "b"], Balance(0, balanced=False), ["b"]),
        ([*ok("a"), Result(None, Outcome.UNKEYED)], ["a", "b"], Balance(0, balanced=True), ["b"]),
        ([*ok("a"), Result("b", Outcome.MALFORMED)], ["a", "b"], Balance(0, balanced=True), []),
        (ok("a"), ["a", "b", "b"], Balance(2, balanced=True), ["b"]),
        (ok("l" * 50), ["l" * 50, "m" * 50], Balance(1, balanced=True), ["m" * 50]),
    ],
)
def test_missing_keys_are_named(  # noqa: PLR0913, PLR0917 - one case
    storage: LocalStorage,
    tmp_path: Path,
    results: list[Result],
    asked: list[str],
    expected: Balance,
    missing_keys: list[str],
) -> None:
    counts, comparison, missing = compared(storage, tmp_path, results, asked)
    assert counts.balance(len(asked), comparison) == expected
    assert missing == missing_keys


def test_missing_keys_need_no_request_count(storage: LocalStorage, tmp_path: Path) -> None:
    counts, comparison, missing = compared(storage, tmp_path, ok("a"), ["a", "b"])
    assert counts.balance(None, comparison) == Balance(None, None)
    assert missing == ["b"]


def test_keys_beyond_memory_are_compared(storage: LocalStorage, tmp_path: Path) -> None:
    """Of results, of malformed lines and of the input there are more than fit into memory."""
    keys = [f"{number}" for number in range(3 * RECENT_KEYS)]
    broken = [Result(f"broken-{key}", Outcome.MALFORMED) for key in keys]
    results = [*ok(*reversed(keys[RECENT_KEYS:]), "x", "y"), *broken]
    asked = [*keys, *(f"broken-{key}" for key in keys), "lost", *keys[-9:]]
    counts, comparison, missing = compared(storage, tmp_path, results, asked)
    assert missing == [*keys[:RECENT_KEYS], "lost"]
    assert comparison.unexpected == 2
    assert counts.balance(len(asked), comparison).balanced is False


def test_input_counts_where_gemini_does_not(storage: LocalStorage) -> None:
    put_input(storage, request("a") + b"\n\n" + request("b") + b"\n \n")
    manifest = store(storage, nasty.answer("a"), None)
    assert manifest.input is not None
    assert (manifest.input.name, manifest.input.requests) == ("b1/_input.jsonl.gz", 2)
    assert (manifest.requests, manifest.missing, manifest.balanced) == (2, 1, True)


def test_differing_counts_unsettle_the_books(storage: LocalStorage) -> None:
    put_input(storage, request("a") + b"\n" + request("b"))
    manifest = store(storage, nasty.answer("a"), 1)
    assert (manifest.requests, manifest.missing, manifest.balanced) == (1, 0, False)
    assert manifest.missing_keys == ["b"]


def test_answer_that_nobody_asked_for_is_loud(storage: LocalStorage) -> None:
    put_input(storage, request("a"))
    assert store(storage, nasty.answer("b"), 1).balanced is False


def test_retries_are_the_inputs_own_lines(storage: LocalStorage) -> None:
    """In its order and with its bytes: what failed for a while, and what never came."""
    long = "l" * 99
    asked = [
        b'{"request": {"x": 1.10, "y": "\\u00e4"}, "key": "missing"}\r',
        request("fine"),
        request("again", note=10**30),
        request("never"),
        request("cut"),
        request(long),
        b'{"request": {}}',
        request("empty"),
    ]
    put_input(storage, b"\n".join(asked))
    results = [
        nasty.failure(long, 8),
        nasty.answer("cut", reason="MAX_TOKENS"),
        nasty.answer("fine"),
        nasty.failure("never", 3),
        nasty.empty("empty"),
        nasty.failure("again", 14),
    ]
    store(storage, b"\n".join(results), 8)
    assert retries(storage) == b"".join(asked[number] + b"\n" for number in (0, 2, 5, 7))


def test_unknown_input_leaves_keys_to_retry(storage: LocalStorage) -> None:
    store(storage, nasty.failure("again", 8), 2)
    assert retries(storage) == b'{"key":"again"}\n'


def test_later_answer_ends_a_retry(storage: LocalStorage) -> None:
    """A malformed line doesn't use up its key: what no later line answers is sent again, once."""
    broken = [
        b'{"key":"%s","response":1}' % key for key in (b"mended", b"lost", b"lost", b"failed")
    ]
    results = [*broken, nasty.answer("mended"), nasty.failure("failed", 8)]
    store(storage, b"\n".join(results), 3)
    assert retries(storage) == b'{"key":"failed"}\n{"key":"lost"}\n'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        gzip.compress(request("a") * 99, mtime=0)[:-9],
        gzip.compress(b"x", mtime=0)[:12],
    ],
)
def test_broken_input_is_said_in_words(storage: LocalStorage, tmp_path: Path, data: bytes) -> None:
    storage.put_many([(input_name("b1"), data)])
    if not data:
        batch_input = BatchInput.fetch(storage, "b1", tmp_path, lambda: None)
        assert batch_input is not None
        assert batch_input.record.requests == 0
        return
    with pytest.raises(StorageError, match="is no whole gzip file") as caught:
        BatchInput.fetch(storage, "b1", tmp_path, lambda: None)
    assert not caught.value.retryable


def test_lost_lease_ends_the_reading(storage: LocalStorage, tmp_path: Path) -> None:
    def lost() -> None:
        raise LeaseLostError("lost")

    put_input(storage, request("a"))
    with pytest.raises(LeaseLostError):
        BatchInput.fetch(storage, "b1", tmp_path, lost)


def test_failed_batch_names_all_requests(storage: LocalStorage, tmp_path: Path) -> None:
    put_input(storage, request("a") + b"\n" + request("b"))
    batch_input = BatchInput.fetch(storage, "b1", tmp_path, lambda: None)
    batch = replace(BATCH, state="FAILED", error_code=13)
    manifest = build_manifest(
        batch,
        Source("none"),
        ResultCounts(tmp_path),
        Written(),
        ManifestInputs(PER_KEY, PRICES, batch_input),
    )
    assert (manifest.requests, manifest.missing, manifest.missing_keys) == (2, 2, ["a", "b"])
    assert json.loads(encode_manifest(manifest))["error"] == {"code": 13, "message": None}
