import gc
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from receiver.answers.index_rows import IndexRow
from receiver.errors import ShuttingDownError
from receiver.outputs.manifest import FormsRecord, Manifest
from receiver.settings.settings import read_settings
from receiver.storage import LocalStorage
from receiver.storage.object_store import ObjectStorage
from tests import nasty
from tests.workers.forms.reading import findings, inline, line, listed, objects, read, rows, thought
from tests.workers.storing import GROUPED, PER_KEY, change_manifest, store
from workers.forms.forms import Forms
from workers.forms.writers import BatchFacts
from workers.verification.verify_batch import verify_batch

WORDS = "raw,text,thoughts,json"
DATA = b"".join(
    [
        line("de-1", thought("hm"), '{"n": 1}'),
        line("de-2", "no json"),
        line("FR/3", "[2.50]", reason="MAX_TOKENS"),
        line("de-4", "refused", reason="SAFETY"),
        nasty.failure("de-5", 8) + b"\n",
        line(None, '"unkeyed"'),
        line("de-1", "again"),
        line("de-\ud800", "\ud800"),
    ]
)


def forms_of(manifest: Manifest) -> FormsRecord:
    assert isinstance(manifest.forms, FormsRecord)
    return manifest.forms


def beside(storage: LocalStorage, *marks: str) -> dict[str, bytes]:
    return {
        name: data
        for name, data in objects(storage).items()
        if any(f"/_{mark}/" in name for mark in marks)
    }


def test_raw_alone_leaves_no_trace(storage: LocalStorage) -> None:
    store(storage, DATA, 8)
    assert "b1/_forms.jsonl.gz" not in objects(storage)
    assert "forms" not in json.loads(read(storage, "b1/_manifest.json"))


def test_raw_objects_are_the_same(storage: LocalStorage, tmp_path: Path) -> None:
    alone = LocalStorage(tmp_path / "alone")
    store(alone, nasty.FILE, nasty.REQUESTS)
    store(storage, nasty.FILE, nasty.REQUESTS, OUTPUT_FORMS=WORDS)
    both, more = objects(alone), objects(storage)
    assert {name: more[name] for name in both if name != "b1/_manifest.json"} == {
        name: data for name, data in both.items() if name != "b1/_manifest.json"
    }


def test_each_answer_has_its_forms(storage: LocalStorage) -> None:
    manifest = store(storage, DATA, 8, OUTPUT_FORMS=WORDS)
    assert beside(storage, "text", "thoughts", "json") == {
        "b1/_text/de-1.txt": b'{"n": 1}',
        "b1/_text/de-2.txt": b"no json",
        "b1/_text/!46!52!2f3.txt".replace("!46!52!2f3", "FR!2f3!u3"): b"[2.50]",
        "b1/_text/de-!ed!a0!80.txt": b"\\ud800",
        "b1/_unkeyed/_text/6.txt": b'"unkeyed"',
        "b1/_thoughts/de-1.txt": b"hm",
        "b1/_json/de-1.json": b'{"n":1}\n',
        "b1/_json/FR!2f3!u3.json": b"[2.50]\n",
        "b1/_unkeyed/_json/6.json": b'"unkeyed"\n',
    }
    forms = forms_of(manifest)
    assert (forms.objects, forms.failed) == ({"text": 5, "thoughts": 1, "json": 3}, {"json": 2})
    assert [(row["line"], row["key"]) for row in listed(storage) if row["object"] is None] == [
        (2, "de-2"),
        (8, "de-\ud800"),
    ]
    assert forms.bytes == sum(
        len(data) for data in beside(storage, "text", "thoughts", "json").values()
    )


def test_groups_share_an_object(storage: LocalStorage) -> None:
    manifest = store(storage, DATA, 8, GROUPED, OUTPUT_FORMS=WORDS)
    made = {name: rows(data) for name, data in beside(storage, "text", "thoughts", "json").items()}
    start: dict[str, Any] = {
        "batch": "batches/b1",
        "key": "de-1",
        "line": 1,
        "outcome": "ok",
        "candidate": 0,
    }
    assert made["b1/_text/de.jsonl"] == [
        start | {"text": '{"n": 1}'},
        start | {"key": "de-2", "line": 2, "text": "no json"},
        start | {"key": "de-\\ud800", "line": 8, "text": "\\ud800"},
    ]
    assert made["b1/_thoughts/de.jsonl"] == [start | {"thoughts": "hm"}]
    assert made["b1/_json/de.jsonl"] == [start | {"value": {"n": 1}}]
    assert made["b1/_json/_unmatched.jsonl"] == [
        {
            "batch": "batches/b1",
            "key": "FR/3",
            "line": 3,
            "outcome": "truncated",
            "candidate": 0,
            "value": [2.5],
        }
    ]
    assert made["b1/_json/_unkeyed.jsonl"] == [
        {
            "batch": "batches/b1",
            "key": None,
            "line": 6,
            "outcome": "unkeyed",
            "candidate": 0,
            "value": "unkeyed",
        }
    ]
    assert forms_of(manifest).objects == {"text": 3, "thoughts": 1, "json": 3}


def test_answer_that_breaks_the_schema_is_listed(storage: LocalStorage) -> None:
    data = line("a", '{"n": 1}') + line("b", '{"n": "x"}')
    schema = '{"properties": {"n": {"type": "integer"}}}'
    manifest = store(storage, data, 2, OUTPUT_FORMS="json", RESPONSE_SCHEMA=schema)
    assert forms_of(manifest).failed == {"json": 1}
    assert [row for row in listed(storage) if row["object"] is None] == [
        {
            "form": "json",
            "line": 2,
            "key": "b",
            "object": None,
            "error": "the answer breaks the schema at $.n: 'x' is not of type 'integer'",
        }
    ]
    assert set(objects(storage)) >= {"b1/a.json", "b1/b.json", "b1/_json/a.json"}
    assert "b1/_json/b.json" not in objects(storage)


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per key", "grouped"])
def test_second_run_gives_the_same_bytes(
    storage: LocalStorage, tmp_path: Path, template: Any
) -> None:
    again = LocalStorage(tmp_path / "again")
    for place in (storage, again):
        store(place, nasty.FILE + b"\n" + DATA, 30, template, OUTPUT_FORMS=WORDS)
    assert objects(storage) == objects(again)


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per key", "grouped"])
def test_forms_are_proven(storage: LocalStorage, template: Any) -> None:
    store(storage, DATA.replace(line("de-1", "again"), b""), 7, template, OUTPUT_FORMS=WORDS)
    assert findings(storage) == []


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per key", "grouped"])
def test_nasty_batch_is_written_in_every_form(storage: LocalStorage, template: Any) -> None:
    store(storage, nasty.FILE, nasty.REQUESTS, template, OUTPUT_FORMS=WORDS)
    (flaw,) = findings(storage)  # its second line of a key
    assert "b1/_manifest.json: " in flaw


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per key", "grouped"])
def test_changed_form_is_named(storage: LocalStorage, template: Any) -> None:
    store(storage, DATA.replace(line("de-1", "again"), b""), 7, template, OUTPUT_FORMS=WORDS)
    for name, data in beside(storage, "text", "thoughts", "json").items():
        storage.put_many([(name, data[:-1] + b"#")])
        (finding,) = findings(storage)
        assert finding.startswith(f"{name}: its {len(data)} bytes are not")
        storage.delete(name)
        assert findings(storage) == [f"{name}: it is not there"]
        storage.put_many([(name, data)])


def test_forms_go_to_a_bucket_too(tmp_path: Path) -> None:
    bucket = ObjectStorage(MemoryStore())
    store(
        bucket,
        line("a", "1", inline(b"picture")),
        1,
        OUTPUT_FORMS="raw,text,thoughts,json,media,table",
    )
    report = verify_batch(bucket, "batches/b1", tmp_path)
    assert report.findings == []
    assert bucket.read("b1/_media/a.1.png") == b"picture"


def test_changed_index_of_forms_is_named(storage: LocalStorage) -> None:
    store(storage, line("a", "x"), 1, OUTPUT_FORMS="text")
    row = json.loads(gzip.decompress(read(storage, "b1/_forms.jsonl.gz")))
    storage.put_many(
        [("b1/_forms.jsonl.gz", gzip.compress(json.dumps(row | {"object": "../x"}).encode()))]
    )
    digest, name = findings(storage)
    assert digest.startswith("b1/_forms.jsonl.gz: its sha256 is ")
    assert name == "../x: this is no name of an output"
    storage.put_many([("b1/_forms.jsonl.gz", b"no gzip")])
    assert any("b1/_forms.jsonl.gz: it can't be read" in finding for finding in findings(storage))
    storage.delete("b1/_forms.jsonl.gz")
    assert findings(storage) == ["b1/_forms.jsonl.gz: it is not there"]


def test_wrong_count_of_forms_is_named(storage: LocalStorage) -> None:
    manifest = store(storage, line("a", "x"), 1, OUTPUT_FORMS="text")
    index = forms_of(manifest).index
    record = {
        "index": {"name": index.name, "sha256": index.sha256},
        "objects": {"text": 2},
        "bytes": 1,
        "failed": {},
    }
    change_manifest(storage, forms=record)
    (finding,) = findings(storage)
    assert finding.startswith("b1/_manifest.json: it says of the forms {'text': 2}")


def test_stopped_run_leaves_nothing_open(storage: LocalStorage, tmp_path: Path) -> None:
    settings = read_settings({"GEMINI_API_KEY": "k", "OUTPUT_FORMS": "raw,text,json,media,table"})
    row = IndexRow(1, "k", "ok", "b1/k.json", 0, 1, "")

    def stop() -> None:
        raise ShuttingDownError

    with Forms(settings, BatchFacts("b1"), storage, stop, tmp_path) as forms:
        forms.add([row], [line("k", "no json")], 0)
        with pytest.raises(ShuttingDownError):
            forms.store()
    del forms
    gc.collect()  # a warning about what was left open fails the test
    assert objects(storage) == {}
