import gzip
import hashlib
import json
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from receiver.outputs.paths import Template
from receiver.storage import LocalStorage, Storage
from receiver.storage.object_store import ObjectStorage
from tests import nasty
from tests.workers.storing import GROUPED, PER_KEY, change_manifest, put_input, store
from workers.results.lines import MAX_LINE_BYTES
from workers.verification.findings import MAX_FINDINGS, VerifyReport
from workers.verification.verify_batch import verify_batch

INDEX, ERRORS, MANIFEST = "b1/_index.jsonl.gz", "b1/_errors.jsonl", "b1/_manifest.json"
DATA = b"\n".join(
    [
        nasty.answer("de-1"),
        nasty.answer("fr-1"),
        nasty.failure("de-2", 8),
        nasty.answer("de-3"),
        b"",
    ]
)


@pytest.fixture(params=["local", "objects"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return (
        LocalStorage(tmp_path / "outputs")
        if request.param == "local"
        else ObjectStorage(MemoryStore())
    )


def prove(storage: Storage, folder: Path) -> VerifyReport:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        return verify_batch(storage, "batches/b1", Path(scratch))


def found(report: VerifyReport) -> list[str]:
    assert report.off == len(report.findings)
    return [str(finding) for finding in report.findings]


def read(storage: Storage, name: str) -> bytes:
    data = storage.read(name)
    assert data is not None
    return data


def edit(storage: Storage, name: str, change: Callable[[bytes], bytes]) -> None:
    storage.put_many([(name, change(read(storage, name)))])


def edit_index(
    storage: Storage, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> None:
    """Write the index anew, and its sha256 in the manifest, as one does to cover tracks."""
    rows = [json.loads(line) for line in gzip.decompress(read(storage, INDEX)).splitlines()]
    data = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in change(rows)))
    storage.put_many([(INDEX, data)])
    change_manifest(storage, index={"name": INDEX, "sha256": hashlib.sha256(data).hexdigest()})


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per key", "grouped"])
def test_stored_batch_is_proven(storage: Storage, tmp_path: Path, template: Template) -> None:
    manifest = store(storage, DATA, 4, template)
    report = prove(storage, tmp_path)
    assert found(report) == []
    assert (report.lines, report.objects, report.size_bytes) == (
        4,
        manifest.objects.count,
        manifest.objects.bytes,
    )


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per key", "grouped"])
def test_nasty_batch_has_one_flaw(tmp_path: Path, template: Template) -> None:
    """A second line of a key unsettles the books; every byte is proven all the same."""
    storage = LocalStorage(tmp_path / "outputs")
    store(storage, nasty.FILE, nasty.REQUESTS, template)
    results = nasty.REQUESTS + nasty.DUPLICATES
    message = f"{nasty.REQUESTS} requests are not {results} results and 0 missing"
    assert found(prove(storage, tmp_path)) == [f"{MANIFEST}: {message}"]


def test_batch_without_results_is_proven(storage: Storage, tmp_path: Path) -> None:
    store(storage, b"", 3)
    nothing = {"kind": "none", "bytes": 0, "lines": 0, "blank": 0}
    change_manifest(storage, state="FAILED", source=nothing, index=None, retry=None, balanced=True)
    for name in (INDEX, ERRORS, "b1/_retry.jsonl"):
        storage.delete(name)
    assert found(prove(storage, tmp_path)) == []


def test_absent_batch_is_not_proven(storage: Storage, tmp_path: Path) -> None:
    assert found(prove(storage, tmp_path)) == [
        f"{MANIFEST}: it is not there: the batch is not stored"
    ]


@pytest.mark.parametrize("data", [b"", b"{}", b"[", b"\xff", b"[" * 100_000])
def test_unreadable_manifest_is_said_in_words(
    storage: Storage, tmp_path: Path, data: bytes
) -> None:
    storage.create(MANIFEST, data)
    (message,) = found(prove(storage, tmp_path))
    assert message.startswith(f"{MANIFEST}: it is not in the form of a manifest: ")


@pytest.mark.parametrize("position", [0, 30, -2])
def test_flipped_byte_is_named(storage: Storage, tmp_path: Path, position: int) -> None:
    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position] ^= 1
        return bytes(changed)

    store(storage, DATA, 4)
    edit(storage, "b1/fr-1.json", flip)
    message = "its bytes are not those that the sha256 of its row was made of"
    assert found(prove(storage, tmp_path)) == [f"b1/fr-1.json, line 2: {message}"]


def test_flipped_byte_is_named_by_its_line(storage: Storage, tmp_path: Path) -> None:
    store(storage, DATA, 4, GROUPED)
    edit(storage, "b1/de.jsonl", lambda data: data.replace(b'"de-3"', b'"de-4"'))
    (message,) = found(prove(storage, tmp_path))
    assert message.startswith("b1/de.jsonl, line 4: ")


@pytest.mark.parametrize(
    ("cut", "words"), [(1, "no newline follows it"), (9, "before the line does")]
)
def test_truncated_object_is_named(storage: Storage, tmp_path: Path, cut: int, words: str) -> None:
    store(storage, DATA, 4, GROUPED)
    edit(storage, "b1/de.jsonl", lambda data: data[:-cut])
    (message,) = found(prove(storage, tmp_path))
    assert message.startswith("b1/de.jsonl, line 4: ")
    assert words in message


def test_every_line_behind_a_cut_is_named(storage: Storage, tmp_path: Path) -> None:
    store(storage, DATA, 4, GROUPED)
    edit(storage, "b1/de.jsonl", lambda data: data[:20])
    assert [
        (one.object, one.line)
        for one in prove(storage, tmp_path).findings
        if "begins" not in one.message
    ] == [
        ("b1/de.jsonl", 1),
        ("b1/de.jsonl", 4),
    ]


@pytest.mark.parametrize("name", ["b1/de-1.json", ERRORS, "b1/_retry.jsonl", INDEX])
def test_deleted_object_is_named(storage: Storage, tmp_path: Path, name: str) -> None:
    store(storage, DATA, 4)
    storage.delete(name)
    assert found(prove(storage, tmp_path)) == [f"{name}: it is not there"]


def test_swapped_objects_are_both_named(storage: Storage, tmp_path: Path) -> None:
    store(storage, DATA, 4)
    one, two = read(storage, "b1/de-1.json"), read(storage, "b1/fr-1.json")
    storage.put_many([("b1/de-1.json", two), ("b1/fr-1.json", one)])
    assert [(one.object, one.line) for one in prove(storage, tmp_path).findings] == [
        ("b1/de-1.json", 1),
        ("b1/fr-1.json", 2),
    ]


@pytest.mark.parametrize("name", ["b1/de-1.json", ERRORS])
def test_added_bytes_are_named(storage: Storage, tmp_path: Path, name: str) -> None:
    store(storage, DATA, 4)
    edit(storage, name, lambda data: data + b"{}\n")
    assert found(prove(storage, tmp_path)) == [
        f"{name}: it holds 3 bytes that no row of the index names"
    ]


def test_errors_that_no_row_names_are_found(storage: Storage, tmp_path: Path) -> None:
    store(storage, nasty.answer("de-1"), 1)
    edit(storage, ERRORS, lambda _: b"{}\n")
    assert found(prove(storage, tmp_path)) == [
        f"{ERRORS}: it holds 3 bytes that no row of the index names"
    ]


def test_changed_index_is_named(storage: Storage, tmp_path: Path) -> None:
    store(storage, DATA, 4)
    edit(storage, INDEX, lambda data: gzip.compress(gzip.decompress(data)))
    (message,) = found(prove(storage, tmp_path))
    assert message.startswith(f"{INDEX}: its sha256 is ")


def test_cut_index_is_named(storage: Storage, tmp_path: Path) -> None:
    store(storage, DATA, 4)
    edit(storage, INDEX, lambda data: data[:-12])
    messages = found(prove(storage, tmp_path))
    assert any(message.startswith(f"{INDEX}: it is no whole gzip file") for message in messages)


def test_added_row_is_named(storage: Storage, tmp_path: Path) -> None:
    store(storage, DATA, 4)
    edit_index(storage, lambda rows: [*rows, rows[0] | {"line": 5}])
    messages = found(prove(storage, tmp_path))
    assert messages[0].startswith("b1/de-1.json, line 5: it begins at byte 0, where ")
    assert messages[1:3] == [
        f"{INDEX}: 5 rows up to line 5 and 0 blank lines are not the 4 lines of the source",
        f"{MANIFEST}: it says 3 ok, the index has 4",
    ]


def test_dropped_row_is_named(storage: Storage, tmp_path: Path) -> None:
    store(storage, DATA, 4)
    edit_index(storage, lambda rows: [rows[0], *rows[2:]])
    messages = found(prove(storage, tmp_path))
    lines = (
        "3 rows up to line 4 and 0 blank lines are not the 4 lines of the source; without a row: 2"
    )
    assert messages[0] == f"{INDEX}: {lines}"
    assert f"{MANIFEST}: it says 3 objects, the index names 2" in messages


def test_repeated_line_is_named(storage: Storage, tmp_path: Path) -> None:
    store(storage, DATA, 4)
    edit_index(storage, lambda rows: [*rows[:3], rows[3] | {"line": 3}])
    messages = found(prove(storage, tmp_path))
    assert messages[0] == f"{INDEX}, line 3: its row stands after that of line 3"


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (1, {"object": ERRORS}),
        (1, {"outcome": "unkeyed"}),
        (3, {"outcome": "ok"}),
        (3, {"object": "b1/de-2.json"}),
    ],
)
def test_line_in_a_wrong_place_is_named(
    storage: Storage, tmp_path: Path, line: int, change: dict[str, Any]
) -> None:
    store(storage, DATA, 4)
    edit_index(storage, lambda rows: [row | change if row["line"] == line else row for row in rows])
    messages = found(prove(storage, tmp_path))
    assert messages[0].startswith(f"{INDEX}, line {line}: a line that is ")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "b1/../../secret", ""])
def test_name_outside_is_not_read(tmp_path: Path, name: str) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    store(storage, DATA, 4)
    edit_index(storage, lambda rows: [rows[0] | {"object": name}, *rows[1:]])
    assert f"{name}: this is no name of an output" in found(prove(storage, tmp_path))


@pytest.mark.parametrize(
    "row",
    [
        b"{}",
        b"x",
        b"\xff",
        b'{"line":-1}',
        b'{"line":%d}' % 2**70,
        b"[" * 100_000,
        b'{"more":' + b"[" * 100_000,
        b'{"line":1,"key":null,"outcome":"ok","object":"\\ud800","offset":0,"length":1,"sha256":""}',
    ],
    ids=[
        "empty",
        "no json",
        "no text",
        "negative",
        "huge",
        "nested",
        "nested inside",
        "half a character",
    ],
)
def test_unreadable_row_is_named(storage: Storage, tmp_path: Path, row: bytes) -> None:
    store(storage, DATA, 4)
    edit(storage, INDEX, lambda data: gzip.compress(row + b"\n" + gzip.decompress(data)))
    messages = found(prove(storage, tmp_path))
    assert messages[1].startswith(f"{INDEX}: row 1 can't be read: ")
    assert len(messages) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"requests": 5}, "5 requests are not 4 results and 0 missing"),
        ({"missing": 1}, "4 requests are not 4 results and 1 missing"),
        ({"balanced": False}, "it says itself that the counts don't add up"),
        ({"balanced": None}, "it knows how many requests there were, but not what is missing"),
        ({"requests": None}, "it knows what is missing, but not how many requests there were"),
        ({"objects": {"count": 4, "bytes": 396}}, "it says 4 objects, the index names 3"),
        ({"objects": {"count": 3, "bytes": 1}}, "it says 1 bytes of outputs, the index has 396"),
        ({"batch": "batches/b2"}, "it is the manifest of batches/b2"),
        ({"index": None}, "it counts results, but names no index"),
    ],
)
def test_changed_manifest_is_named(
    storage: Storage, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    store(storage, DATA, 4)
    change_manifest(storage, **fields)
    assert f"{MANIFEST}: {message}" in found(prove(storage, tmp_path))


@pytest.mark.parametrize(
    "text", ["{batch}/{group}.jsonl", "{batch}/{group}/{key}.json"], ids=["grouped", "per key"]
)
def test_unmatched_keys_are_counted_and_proven(storage: Storage, tmp_path: Path, text: str) -> None:
    template = Template.parse(text, "(?P<group>fr)-.*")
    assert store(storage, DATA, 4, template).unmatched == 2
    assert found(prove(storage, tmp_path)) == []
    change_manifest(storage, unmatched=0)
    assert found(prove(storage, tmp_path)) == [
        f"{MANIFEST}: it says 0 unmatched keys, the index has 2"
    ]


def test_changed_outcomes_are_named(storage: Storage, tmp_path: Path) -> None:
    manifest = store(storage, DATA, 4)
    change_manifest(storage, outcomes=manifest.outcomes | {"ok": 4, "error": 0})
    assert found(prove(storage, tmp_path)) == [
        f"{MANIFEST}: it says 0 error, the index has 1",
        f"{MANIFEST}: it says 4 ok, the index has 3",
    ]


def test_changed_input_is_named(storage: Storage, tmp_path: Path) -> None:
    put_input(storage, b'{"key":"de-1"}\n')
    store(storage, nasty.answer("de-1"), 1)
    put_input(storage, b'{"key":"de-2"}\n')
    (message,) = found(prove(storage, tmp_path))
    assert message.startswith("b1/_input.jsonl.gz: its sha256 is ")


def test_changed_retries_are_named(storage: Storage, tmp_path: Path) -> None:
    store(storage, nasty.failure("de-1", 8), 1)
    edit(storage, "b1/_retry.jsonl", lambda data: data.replace(b"de-1", b"de-2"))
    (message,) = found(prove(storage, tmp_path))
    assert message.startswith("b1/_retry.jsonl: its sha256 is ")


def test_changed_missing_keys_are_named(storage: Storage, tmp_path: Path) -> None:
    put_input(storage, b'{"key":"de-1"}\n{"key":"de-2"}\n{"key":"de-3"}\n')
    assert store(storage, nasty.answer("de-1"), 3).missing_keys == ["de-2", "de-3"]
    assert found(prove(storage, tmp_path)) == []
    change_manifest(storage, missing_keys=["de-2", "de-4"])
    message = "it names 2 missing keys, input and index leave 2, and they are not the same"
    assert found(prove(storage, tmp_path)) == [f"{MANIFEST}: {message}"]


def test_changed_count_of_the_input_is_named(storage: Storage, tmp_path: Path) -> None:
    put_input(storage, b'{"key":"de-1"}\n')
    manifest = store(storage, nasty.answer("de-1"), 1)
    assert manifest.input is not None
    change_manifest(
        storage, input={"name": manifest.input.name, "sha256": manifest.input.sha256, "requests": 2}
    )
    (message,) = found(prove(storage, tmp_path))
    assert message.startswith(f"{MANIFEST}: it says input ")


def test_changed_oversize_line_is_named(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    store(storage, nasty.answer("de-1") + b"\n" + b"x" * (MAX_LINE_BYTES + 1), 2)
    assert found(prove(storage, tmp_path)) == []
    edit(storage, "b1/_oversize/2.jsonl", lambda data: data[:-9] + b"\n")
    (message,) = found(prove(storage, tmp_path))
    assert message.startswith("b1/_oversize/2.jsonl: its sha256 is ")


def test_findings_are_named_up_to_a_limit(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    count = MAX_FINDINGS + 50
    store(storage, b"\n".join(nasty.answer(f"de-{number}") for number in range(count)), count)
    for number in range(count):
        storage.delete(f"b1/de-{number}.json")
    report = prove(storage, tmp_path)
    assert (report.off, len(report.findings)) == (count, MAX_FINDINGS)


def test_many_rows_take_little_memory(tmp_path: Path) -> None:
    """Half of the lines share one object, and the others interleave over hundreds of them."""
    storage = LocalStorage(tmp_path / "outputs")
    keys = [
        f"{'all' if number % 2 else 'x' * (number % 500 + 1)}-{number}" for number in range(40_000)
    ]
    store(storage, b"\n".join(nasty.answer(key) for key in keys), len(keys), GROUPED)
    tracemalloc.start()
    report = prove(storage, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found(report) == []
    assert peak < 8_000_000  # 100 bytes a key, as a worker takes
