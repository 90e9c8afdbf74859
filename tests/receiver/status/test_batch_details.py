"""What a page reads of a stored batch, in a real folder."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from receiver.answers.packed_lines import BLOCK_BYTES, MAX_LINE_BYTES, SearchLimits
from receiver.outputs.manifest import (
    BatchError,
    Manifest,
    Objects,
    Record,
    Source,
    encode_manifest,
)
from receiver.status.batch_details import (
    MISSING,
    PAGE_ROWS,
    DetailLimits,
    Listing,
    Outputs,
    read_batch_details,
)
from receiver.storage import LocalStorage

NAME = "acme/batches/abc"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def manifest(missing_keys: list[str] | None = None) -> Manifest:
    return Manifest(
        batch="batches/abc",
        state="SUCCEEDED",
        display_name="half \ud800",
        model=None,
        created=None,
        ended=None,
        source=Source("file"),
        input=None,
        requests=3,
        outcomes={"ok": 2, "error": 1},
        missing=0,
        missing_keys=missing_keys or [],
        balanced=True,
        usage={},
        cost="unknown",
        objects=Objects(2, 10),
        index=Record("abc/_index.jsonl.gz", "0"),
        error=BatchError(None, None),
        template="{batch}/{key}.json",
        version="0.1.0",
    )


def keep(storage: LocalStorage, name: str, data: bytes) -> None:
    storage.put_many([(f"abc/{name}", data)])


def lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def index_row(line: int, key: str | None = "k") -> dict[str, Any]:
    return {
        "line": line,
        "key": key,
        "outcome": "ok",
        "object": "abc/k.json",
        "offset": 0,
        "length": 9,
        "sha256": "0",
    }


def test_batch_without_a_manifest_has_no_details(storage: LocalStorage) -> None:
    keep(storage, "_errors.jsonl", lines([{"key": "a", "outcome": "error", "code": 8}]))
    found = read_batch_details(storage, NAME, Listing())
    assert (found.manifest, found.problem, found.errors) == (None, "", None)


def test_manifest_outcomes_and_lone_surrogates_are_read(storage: LocalStorage) -> None:
    keep(storage, "_manifest.json", encode_manifest(manifest()))
    found = read_batch_details(storage, NAME, Listing())
    assert found.manifest is not None
    assert found.manifest.display_name == "half \ud800"
    assert [share.name for share in found.shares] == ["ok", "error"]
    assert found.errors is None
    assert found.outputs is not None
    assert "is not there" in found.outputs.problem


def test_stored_batch_is_judged(storage: LocalStorage) -> None:
    keep(storage, "_manifest.json", encode_manifest(manifest()))
    judgement = read_batch_details(storage, NAME, Listing()).judgement
    assert judgement is not None
    assert (judgement.is_well, judgement.text) == (False, "stored; 1 error")


def test_unreadable_manifest_is_reported(storage: LocalStorage) -> None:
    keep(storage, "_manifest.json", b"{junk")
    assert read_batch_details(storage, NAME, Listing()).problem.startswith(
        "it is not in the form of a manifest"
    )


def test_manifest_without_end_is_not_read_whole(storage: LocalStorage) -> None:
    limits = DetailLimits(manifest_bytes=300_000)
    keep(
        storage,
        "_manifest.json",
        encode_manifest(manifest([f"key {number}" for number in range(100_000)])),
    )
    assert "too long to be shown" in read_batch_details(storage, NAME, Listing(), limits).problem


def test_errors_are_counted_by_code(storage: LocalStorage) -> None:
    rows: list[Any] = [
        {"key": f"k{n}", "outcome": "error", "code": 8, "message": f"quota {n}"} for n in range(5)
    ]
    rows += [
        {"key": None, "outcome": "malformed", "code": None, "message": None},
        "junk",
        {"key": "\ud800", "code": {}},
    ]
    keep(storage, "_manifest.json", encode_manifest(manifest()))
    keep(storage, "_errors.jsonl", lines(rows) + b"{cut")
    errors = read_batch_details(storage, NAME, Listing()).errors
    assert errors is not None
    first, second, third = errors.kinds
    assert (first.code, first.outcome, first.count, first.message) == ("8", "error", 5, "quota 0")
    assert first.keys == ["k0", "k1", "k2"]
    assert (second.code, second.outcome, second.keys) == ("", "malformed", [])
    assert third.keys == ["\ud800"]
    assert errors.is_whole


def test_many_errors_are_read_in_part_and_reported_so(storage: LocalStorage) -> None:
    limits = DetailLimits(errors_bytes=100_000)
    keep(storage, "_manifest.json", encode_manifest(manifest()))
    keep(
        storage,
        "_errors.jsonl",
        lines([{"key": f"k{n}", "outcome": "error", "code": 8} for n in range(30_000)]),
    )
    errors = read_batch_details(storage, NAME, Listing(), limits).errors
    assert errors is not None
    assert not errors.is_whole
    assert 1000 < errors.read == errors.kinds[0].count < 30_000


def test_outputs_come_in_pages(storage: LocalStorage) -> None:
    keep(storage, "_manifest.json", encode_manifest(manifest()))
    keep(
        storage,
        "_index.jsonl.gz",
        gzip.compress(lines([index_row(n, None) for n in range(1, PAGE_ROWS + 3)])),
    )
    first, second, beyond = (
        read_batch_details(storage, NAME, Listing("", after)).outputs
        for after in (0, PAGE_ROWS, 10**6)
    )
    assert first is not None
    assert second is not None
    assert [row.line for row in first.rows] == [*range(1, PAGE_ROWS + 1)]
    assert first.next_after == PAGE_ROWS
    assert [row.line for row in second.rows] == [PAGE_ROWS + 1, PAGE_ROWS + 2]
    assert second.next_after is None
    assert beyond == Outputs()


def test_missing_keys_come_in_pages(storage: LocalStorage) -> None:
    keys = [f"k{number}" for number in range(PAGE_ROWS + 1)]
    keep(storage, "_manifest.json", encode_manifest(manifest(keys)))
    first, second = (
        read_batch_details(storage, NAME, Listing(MISSING, after)).outputs
        for after in (0, PAGE_ROWS)
    )
    assert first == Outputs(missing=keys[:PAGE_ROWS], next_after=PAGE_ROWS)
    assert second == Outputs(missing=keys[PAGE_ROWS:])


def test_long_index_ends_and_says_so(storage: LocalStorage) -> None:
    limits = DetailLimits(index=SearchLimits(1, 60))
    keep(storage, "_manifest.json", encode_manifest(manifest()))
    keep(storage, "_index.jsonl.gz", gzip.compress(lines([index_row(n) for n in range(1, 20_000)])))
    outputs = read_batch_details(storage, NAME, Listing("error"), limits).outputs
    assert outputs is not None
    assert (outputs.rows, outputs.next_after) == ([], None)
    assert "reached its limit" in outputs.problem


@pytest.mark.parametrize(
    "data",
    [b"", b"no gzip", gzip.compress(b"x" * 100)[:-20], gzip.compress(b"\n\n[]\nnull\n")],
    ids=["empty", "no gzip", "cut", "no rows"],  # gzip writes the time
)
def test_spoilt_index_has_no_rows(storage: LocalStorage, data: bytes) -> None:
    keep(storage, "_manifest.json", encode_manifest(manifest()))
    keep(storage, "_index.jsonl.gz", data)
    outputs = read_batch_details(storage, NAME, Listing()).outputs
    assert outputs is not None
    assert outputs.rows == []
    assert bool(outputs.problem) == bool(data)


def test_bomb_of_an_index_is_not_unpacked(storage: LocalStorage) -> None:
    keep(storage, "_manifest.json", encode_manifest(manifest()))
    bomb = b" " * (MAX_LINE_BYTES + 2 * BLOCK_BYTES)
    keep(storage, "_index.jsonl.gz", gzip.compress(lines([index_row(1)]) + bomb, 1))
    outputs = read_batch_details(storage, NAME, Listing()).outputs
    assert outputs is not None
    assert "a line of over 32 MiB" in outputs.problem
