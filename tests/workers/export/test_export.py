"""The exported table is the input's, row by row, with the answers of the stored batches."""

import csv
import gc
import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from receiver.errors import ExportError, StorageError
from receiver.outputs.paths import Template
from receiver.rows.asking import digest_request
from receiver.rows.readers import TableFormat
from receiver.submissions.proof import MISSING, AnswerRow
from tests.receiver.rows.test_readers import HOSTILE
from tests.workers.export.exporting import Submitted, answer_line, error_line, submit_table
from tests.workers.storing import PER_KEY
from workers.export.export import ExportJob
from workers.export.filters import OutcomeFilter
from workers.store.records import read_index

ALL = OutcomeFilter()
GROUPED = Template.parse("{batch}/all.jsonl")
SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"type": "string"},
        "stars": {"type": "integer"},
        "share": {"type": "number"},
        "spam": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "id": {"type": ["string", "null"]},
    },
    "required": ["mood", "stars"],
}
FACTS = ["_outcome", "_error", "_cost", "_tokens", "_batch"]


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], form: TableFormat) -> None:
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    elif form == "jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="," if form == "csv" else "\t")
            writer.writerow(rows[0])
            writer.writerows(row.values() for row in rows)


def submit_rows(
    tmp_path: Path, texts: Sequence[str], form: TableFormat = "csv", **asked: Any
) -> Submitted:
    table = tmp_path / f"rows.{form}"
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(texts)]
    write_table(table, rows, form)
    return submit_table(tmp_path, table, form, **asked)


def read_json(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per-key", "grouped"])
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_every_row_comes_back_in_its_order(
    form: TableFormat, template: Template, tmp_path: Path
) -> None:
    texts = [*HOSTILE[:-2], "good", "good", HOSTILE[0], "lost", "failed", "cut"]
    submitted = submit_rows(tmp_path, texts, form)
    lines = {key: answer_line(key, f"answer of {key}") for key in reversed(submitted.requests)}
    by_text = {text: f"r{number}" for number, text in reversed(list(enumerate(texts)))}
    del lines[by_text["lost"]]
    lines[by_text["failed"]] = error_line(by_text["failed"])
    lines[by_text["cut"]] = answer_line(by_text["cut"], "half", "MAX_TOKENS")
    manifest = submitted.answer(lines, template)

    target = tmp_path / "answers.jsonl"
    exported = submitted.job(manifest).run(target, "jsonl", ALL)
    rows = read_json(target)
    assert [row["text"] for row in rows] == texts
    assert [row["id"] for row in rows] == [f"r{number}" for number in range(len(texts))]
    assert list(rows[0]) == ["id", "text", "answer", *FACTS]
    for row in rows:
        first = by_text[row["text"]]
        is_copy = first != row["id"]
        match row["text"]:
            case "lost":
                assert (row["answer"], row["_outcome"]) == (None, MISSING)
                assert row["_error"] == "no batch has an answer"
            case "failed":
                assert (row["answer"], row["_outcome"]) == (None, "error")
                assert row["_error"] == "8 RESOURCE_EXHAUSTED: quota"
            case "cut":
                assert (row["answer"], row["_outcome"]) == (None, "truncated")
                assert row["_error"] == "the answer was cut at its token limit"
            case _:
                assert (row["answer"], row["_outcome"]) == (f"answer of {first}", "ok")
                assert row["_error"] is None
                assert row["_tokens"] == (None if is_copy else 120)
                assert (row["_cost"] is None) == is_copy
        assert row["_batch"] == "batches/b1"
    assert exported.rows == exported.written == len(texts)
    assert exported.answered == len(texts) - 3
    assert exported.copied == 2


def test_costs_sum_to_that_of_the_batch(tmp_path: Path) -> None:
    submitted = submit_rows(tmp_path, ["a", "b", "c", "a"])
    lines = {key: answer_line(key, key, prompt=100 + len(key)) for key in submitted.requests}
    lines["r2"] = error_line("r2")
    manifest = submitted.answer(lines, GROUPED)
    stored = json.loads(submitted.storage.read("b1/_manifest.json") or b"")
    target = tmp_path / "answers.parquet"
    submitted.job(manifest).run(target, "parquet", ALL)
    costs = parquet.read_table(target).column("_cost").to_pylist()
    assert sum(cost for cost in costs if cost is not None) == Decimal(stored["cost"]["amount"])
    assert costs[2] == 0
    assert costs[3] is None


def test_fields_of_the_schema_are_typed_columns(tmp_path: Path) -> None:
    submitted = submit_rows(tmp_path, ["a", "b", "c", "d", "e"], schema=SCHEMA)
    whole = {"mood": "good", "stars": 5, "share": 1, "spam": False, "tags": ["x"], "id": None}
    texts = [
        json.dumps(whole),
        json.dumps({"mood": "bad", "stars": 1}),
        json.dumps(whole | {"stars": "many"}),
        json.dumps({"mood": "bad"}),
        "no JSON",
    ]
    pairs = zip(submitted.requests, texts, strict=True)
    manifest = submitted.answer({key: answer_line(key, text) for key, text in pairs}, PER_KEY)
    target = tmp_path / "answers.parquet"
    exported = submitted.job(manifest).run(target, "parquet", ALL)
    table = parquet.read_table(target)
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string",
        "text": "string",
        "mood": "string",
        "stars": "int64",
        "share": "double",
        "spam": "bool",
        "tags": "string",
        "answer_id": "string",
        "_outcome": "string",
        "_error": "string",
        "_cost": "decimal128(38, 15)",
        "_tokens": "int64",
        "_batch": "string",
    }
    rows = table.to_pylist()
    assert (rows[0]["stars"], rows[0]["share"], rows[0]["spam"]) == (5, 1.0, False)
    assert rows[0]["tags"] == '["x"]'
    assert (rows[1]["mood"], rows[1]["share"], rows[1]["_outcome"]) == ("bad", None, "ok")
    assert [row["_outcome"] for row in rows] == ["ok", "ok", "invalid", "invalid", "invalid"]
    assert rows[2]["_error"] == "'stars' is 'many', which is no integer"
    assert rows[3]["_error"] == "the answer has no 'stars'"
    assert rows[4]["_error"].startswith("the answer is no JSON")
    assert rows[2]["mood"] is None
    assert exported.answered == 2


def test_types_of_a_parquet_input_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    columns = {
        "id": pa.array([1, 2], pa.int32()),
        "text": pa.array(["a", "b"]),
        "when": pa.array([None, 5], pa.timestamp("us")),
        "nested": pa.array([{"x": [1]}, None]),
    }
    parquet.write_table(pa.table(columns), path)
    submitted = submit_table(tmp_path, path, "parquet")
    lines = {key: answer_line(key, key) for key in submitted.requests}
    target = tmp_path / "answers.parquet"
    submitted.job(submitted.answer(lines, GROUPED)).run(target, "parquet", ALL)
    found = parquet.read_table(target)
    assert found.select(list(columns)).equals(pa.table(columns))


ODD = {  # what no JSON has, by the text that stands for it
    "bytes": (pa.array([b"\xff\x00"]), "/wA="),
    "nanoseconds": (pa.array([1_000_000_001], pa.timestamp("ns")), "1970-01-01"),
    "day": (pa.array([1], pa.date32()), "1970-01-02"),
    "nested": (pa.array([{"at": 1}], pa.struct({"at": pa.timestamp("ns")})), "1970-01-01"),
    "amount": (pa.array([Decimal("1.10")]), "1.10"),
}


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl"])
def test_cells_of_parquet_that_no_json_has_become_text(form: TableFormat, tmp_path: Path) -> None:
    table, target = tmp_path / "rows.parquet", tmp_path / f"out.{form}"
    columns = {"id": pa.array(["r0"]), "text": pa.array(["a"])}
    parquet.write_table(pa.table(columns | {name: one for name, (one, _) in ODD.items()}), table)
    submitted = submit_table(tmp_path, table, "parquet")
    manifest = submitted.answer({"r0": answer_line("r0", "good")}, PER_KEY)
    submitted.job(manifest).run(target, form, ALL)
    for name, (_, text) in ODD.items():
        assert text in target.read_text(), name


def test_columns_of_json_lines_are_typed_by_all_of_their_values(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": "1", "int": 1, "real": 1, "mixed": 1, "flag": True, "big": 2**70},
        {"id": "b", "text": "2", "int": None, "real": 0.5, "mixed": "x", "flag": None},
        {"id": "c", "text": "3", "nested": {"x": [1]}},
    ]
    write_table(path, rows, "jsonl")
    submitted = submit_table(tmp_path, path, "jsonl")
    lines = {key: answer_line(key, key) for key in submitted.requests}
    target = tmp_path / "answers.parquet"
    submitted.job(submitted.answer(lines, GROUPED)).run(target, "parquet", ALL)
    table = parquet.read_table(target)
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["int"], types["real"], types["flag"]) == ("int64", "double", "bool")
    assert (types["mixed"], types["nested"], types["big"]) == ("string", "string", "string")
    found = table.to_pylist()
    assert [row["mixed"] for row in found] == ["1", "x", None]
    assert found[2]["nested"] == '{"x":[1]}'
    assert found[0]["big"] == str(2**70)


@pytest.mark.parametrize("is_whole", [True, False])
def test_garbage_is_collected_again_afterwards(tmp_path: Path, *, is_whole: bool) -> None:
    submitted = submit_rows(tmp_path, ["a"])
    job = submitted.job(submitted.answer({"r0": answer_line("r0", "x")}, GROUPED))
    seen = list[bool]()

    def on_rows(_: int) -> None:
        seen.append(gc.isenabled())
        if not is_whole:
            raise StorageError("away")

    with nullcontext() if is_whole else pytest.raises(StorageError):
        job.run(tmp_path / "answers.csv", "csv", ALL, on_rows)
    assert seen == [False]
    assert gc.isenabled()


def test_a_filter_leaves_rows_out_and_still_proves_all(tmp_path: Path) -> None:
    submitted = submit_rows(tmp_path, ["a", "b", "c"])
    lines = {"r0": answer_line("r0", "x"), "r1": error_line("r1")}
    target = tmp_path / "left.csv"
    chosen = OutcomeFilter.parse("outcome!=ok")
    exported = submitted.job(submitted.answer(lines, GROUPED)).run(target, "csv", chosen)
    with target.open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["r1", "r2"]
    assert (exported.rows, exported.written, exported.answered) == (3, 2, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("outcome=eror", "'eror' is no outcome; they are ok, "),
        ("key=x", "--where takes outcome=NAME"),
        ("outcome", "--where takes outcome=NAME"),
    ],
)
def test_a_wrong_filter_is_refused(text: str, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        OutcomeFilter.parse(text)


def _lose_the_last_row(submitted: Submitted) -> None:
    record = submitted.record
    assert record is not None
    data = submitted.storage.read(record.table.name) or b""
    submitted.storage.put_many([(record.table.name, data.rsplit(b"\n", 2)[0] + b"\n")])


def _answer_another_row(submitted: Submitted) -> None:
    """The keys stay: only which request answers a row is another."""
    record = submitted.record
    assert record is not None
    keys = gzip.decompress(submitted.storage.read(record.keys.name) or b"")
    changed = keys.replace(b'"asked_as":"r0"', b'"asked_as":"r1"')
    assert changed != keys
    submitted.storage.put_many([(record.keys.name, gzip.compress(changed))])


def _lose_an_answer(submitted: Submitted) -> None:
    name = "_submissions/s1/answers.jsonl"
    data = submitted.storage.read(name) or b""
    submitted.storage.put_many([(name, data.partition(b"\n")[2])])


def _change_an_output(submitted: Submitted) -> None:
    data = submitted.storage.read("b1/all.jsonl") or b""
    submitted.storage.put_many([("b1/all.jsonl", data.replace(b"yes", b"not"))])


def _delete_an_output(submitted: Submitted) -> None:
    submitted.storage.delete("b1/all.jsonl")


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (_lose_the_last_row, r"_rows/\w+\.csv has changed since"),
        (_answer_another_row, r"_rows/\w+\.keys\.gz has changed since"),
        (_lose_an_answer, "answers.jsonl has changed since"),
        (_change_an_output, "b1/all.jsonl has changed since it was written"),
        (_delete_an_output, "b1/all.jsonl is not there"),
    ],
    ids=lambda one: one.__name__ if callable(one) else "",
)
def test_nothing_is_exported_from_what_was_changed(tamper: Any, words: str, tmp_path: Path) -> None:
    submitted = submit_rows(tmp_path, ["a", "b", "a"])
    lines = {key: answer_line(key, "yes") for key in submitted.requests}
    manifest = submitted.answer(lines, GROUPED)
    tamper(submitted)
    target = tmp_path / "answers.csv"
    with pytest.raises((ExportError, StorageError), match=words):
        submitted.job(manifest).run(target, "csv", ALL)
    assert not target.exists()
    assert not list(tmp_path.glob(".answers*"))


def test_answers_of_other_rows_are_refused(tmp_path: Path) -> None:
    submitted = submit_rows(tmp_path, ["a", "b"])
    for keys, words in (
        (["r1", "r0"], "the answer of 'r0' is of 'r1'"),
        (["r0"], "the answer of 'r1' is missing"),
        (["r0", "r1", "r2"], "there are more answers than requests"),
    ):
        rows = [AnswerRow(number, key, 0, None, MISSING) for number, key in enumerate(keys, 1)]
        manifest = submitted.finish(rows)
        job = submitted.job(manifest)
        with pytest.raises(ExportError, match=words):
            job.run(tmp_path / "answers.csv", "csv", ALL)
        for path in job.scratch.iterdir():
            path.unlink()
        job.scratch.rmdir()


def test_requests_without_a_table_have_their_keys(tmp_path: Path) -> None:
    submitted = submit_rows(tmp_path, ["a", "b"])
    lines = {key: answer_line(key, "x") for key in submitted.requests}
    manifest = submitted.answer(lines, GROUPED)
    bare = replace(submitted, record=None)
    target = tmp_path / "answers.jsonl"
    bare.job(manifest).run(target, "jsonl", ALL)
    assert [(row["key"], row["answer"]) for row in read_json(target)] == [("r0", "x"), ("r1", "x")]


def test_tables_of_several_exports_concatenate(tmp_path: Path) -> None:
    tables = []
    for name, line in (("one", answer_line("r0", "x")), ("two", error_line("r0"))):
        folder = tmp_path / name
        folder.mkdir()
        submitted = submit_rows(folder, ["a"])
        target = folder / "answers.parquet"
        submitted.job(submitted.answer({"r0": line}, GROUPED)).run(target, "parquet", ALL)
        tables.append(parquet.read_table(target))
    assert pa.concat_tables(tables).num_rows == 2


def test_answers_of_earlier_submissions_are_taken(tmp_path: Path) -> None:
    first = submit_rows(tmp_path, ["a", "b"])
    first.answer({key: answer_line(key, f"of {key}") for key in first.requests}, GROUPED)
    scratch = tmp_path / "look"
    scratch.mkdir()
    row = next(read_index(first.storage, "batches/b1", scratch))
    stored = AnswerRow(
        1, "r0", 0, "batches/b1", "ok", row.object, row.offset, row.length, row.sha256
    )
    asked = {"contents": [{"role": "user", "parts": [{"text": "Rate: a"}]}]}
    known = {digest_request(asked): stored}

    second = submit_rows(tmp_path, ["new", "a", "a", "lost"], find_stored=known.get)
    assert second.requests == ("r0", "r3")
    assert second.record is not None
    assert second.record.copied_from == {"batches/b1": 1}
    missing = [AnswerRow(number, key, 0, None, MISSING) for number, key in ((1, "r0"), (2, "r3"))]
    target = tmp_path / "answers.jsonl"
    exported = second.job(second.finish(missing)).run(target, "jsonl", ALL)
    rows = read_json(target)
    assert [row["answer"] for row in rows] == [None, "of r0", "of r0", None]
    assert [row["_outcome"] for row in rows] == [MISSING, "ok", "ok", MISSING]
    assert [row["_cost"] for row in rows] == [None] * 4  # it was paid before
    assert (exported.rows, exported.answered, exported.copied) == (4, 2, 2)


def test_a_name_may_be_as_long_as_names_are(tmp_path: Path) -> None:
    submitted = submit_rows(tmp_path, ["a"])
    manifest = submitted.answer({"r0": answer_line("r0", "good")}, PER_KEY)
    target = tmp_path / f"{'n' * 251}.csv"
    assert submitted.job(manifest).run(target, "csv", ALL).rows == 1
    assert target.exists()


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    submitted = submit_rows(tmp_path, ["a"])
    manifest = submitted.answer({"r0": answer_line("r0", "good")}, PER_KEY)
    with pytest.raises(ExportError, match="can't be written: File name too long") as caught:
        submitted.job(manifest).run(tmp_path / f"{'n' * 300}.csv", "csv", ALL)
    assert (caught.value.retryable, caught.value.fault) == (True, "outside")


def test_two_exports_to_one_target_are_both_whole(tmp_path: Path) -> None:
    """The second one runs while the first has written all rows, and not yet given the name."""
    submitted = submit_rows(tmp_path, ["a", "b"])
    lines = {key: answer_line(key, "good") for key in ("r0", "r1")}
    manifest, target = submitted.answer(lines, PER_KEY), tmp_path / "out.csv"
    first = submitted.job(manifest)
    other = tmp_path / "other"
    other.mkdir()
    second = replace(first, scratch=other)
    some = OutcomeFilter.parse("outcome=error")

    first.run(target, "csv", ALL, lambda _: first_runs_another(second, target, some))
    assert len(target.read_text().splitlines()) == 3
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def first_runs_another(second: ExportJob, target: Path, chosen: OutcomeFilter) -> None:
    assert second.run(target, "csv", chosen).written == 0
    assert len(target.read_text().splitlines()) == 1
