import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import fs, parquet

from receiver.errors import ShuttingDownError
from receiver.outputs.manifest import Cost
from receiver.storage import LocalStorage
from tests import nasty
from tests.workers.forms.reading import findings, line, objects, read, thought
from tests.workers.stored_batches import used
from tests.workers.storing import GROUPED, PER_KEY, store
from workers.forms.table import COUNTS, JsonTable, ParquetTable, TableRow, read_embedding
from workers.results.lines import MAX_LINE_BYTES

COLUMNS = [
    *("batch", "key", "line", "outcome", "text", "finish_reason", "error_code", "error_message"),
    *(
        "prompt_tokens",
        "cached_tokens",
        "candidates_tokens",
        "thoughts_tokens",
        "tool_use_prompt_tokens",
    ),
    *("total_tokens", "media", "embedding", "candidate", "function_calls", "code", "code_output"),
    *("further_candidates", "model", "display_name", "created", "value", "cost"),
]


def embedding(key: str, *values: Any) -> bytes:
    return (
        json.dumps(
            {"response": {"embedding": {"values": values}, "tokenCount": "3"}, "key": key}
        ).encode()
        + b"\n"
    )


def table_of(storage: LocalStorage) -> Any:
    assert isinstance(storage, LocalStorage)
    return parquet.read_table(
        str(storage.root / "b1" / "_table.parquet"), filesystem=fs.LocalFileSystem()
    )


def rows_of(storage: LocalStorage) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table_of(storage).to_pylist()
    return rows


def parts(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_every_outcome_has_its_row(storage: LocalStorage) -> None:
    manifest = store(storage, nasty.FILE, nasty.REQUESTS, OUTPUT_FORMS="table")
    rows = rows_of(storage)
    assert len(rows) == sum(manifest.outcomes.values())
    assert {row["outcome"] for row in rows} == {
        name for name, count in manifest.outcomes.items() if count
    }
    by_key = {row["key"]: row for row in rows if row["outcome"] != "duplicate"}
    about = ("outcome", "text", "finish_reason", "error_code", "error_message")
    assert parts(by_key["fr-unicode"], *about) == ("ok", "a\u2028b \U0001f600", "STOP", None, None)
    assert parts(by_key["de-cut"], *about) == ("truncated", "hello", "MAX_TOKENS", None, None)
    assert parts(by_key["de-blocked"], *about) == ("blocked", None, None, "SAFETY", None)
    assert parts(by_key["fr-again"], *about) == ("error", None, None, "8", "it broke")
    assert parts(by_key["de-nan"], *about)[:4] == ("malformed", None, None, "shape")
    assert parts(by_key["\\ud800"], *about)[:2] == ("ok", "hello")
    assert by_key["de-inner"]["embedding"] == pytest.approx([0.1])
    (second,) = [row for row in rows if row["outcome"] == "duplicate"]
    assert parts(second, "key", *about[1:]) == (
        "fr-unicode",
        None,
        None,
        None,
        "its key had an earlier line",
    )
    assert {row["batch"] for row in rows} == {"batches/b1"}


def test_counts_and_media_are_told(storage: LocalStorage) -> None:
    usage = {
        "promptTokenCount": 5,
        "cachedContentTokenCount": 1,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 3,
    }
    usage |= {"toolUsePromptTokenCount": 4, "totalTokenCount": 14}
    row = json.loads(
        line("k", thought("hm"), "a", {"inlineData": {"mimeType": "image/png", "data": "AAAA"}})
    )
    row["response"]["usageMetadata"] = usage
    store(storage, json.dumps(row).encode() + b"\n" + line("l", "b"), 2, OUTPUT_FORMS="table,media")
    first, second = rows_of(storage)
    assert parts(first, *(f"{name}_tokens" for name in COUNTS)) == (5, 1, 2, 3, 4, 14)
    assert parts(second, *(f"{name}_tokens" for name in COUNTS)) == (None,) * 6
    assert parts(first, "text", "media") == ("a", ["b1/_media/k.1.png"])
    assert second["media"] == []


@pytest.mark.parametrize(
    "values", [[], [[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0]], [[1.0], [None]]]
)
def test_embeddings_have_one_type_whatever_their_sizes(
    storage: LocalStorage, values: list[list[Any]]
) -> None:
    data = b"".join(embedding(f"e{number}", *one) for number, one in enumerate(values)) + line(
        "k", "text"
    )
    store(storage, data, len(values) + 1, OUTPUT_FORMS="table")
    table = table_of(storage)
    assert table.column_names == COLUMNS
    assert str(table.schema.field("embedding").type) == "list<element: float>"
    expected = [one if all(isinstance(value, float) for value in one) else None for one in values]
    assert table.column("embedding").to_pylist() == [*expected, None]


@pytest.mark.parametrize(
    "values", [None, [], [float("nan")], [float("inf")], ["1"], [None], [[1.0]], [10**400]]
)
def test_what_are_no_numbers_is_no_embedding(values: Any) -> None:
    assert read_embedding(values) is None


def test_tables_of_all_kinds_concatenate(tmp_path: Path) -> None:
    kinds = {
        "texts": line("k", "a"),
        "vectors": embedding("e", 1.0, 2.0),
        "failures": nasty.failure("f", 8),
    }
    tables = []
    for name, data in kinds.items():
        storage = LocalStorage(tmp_path / name)
        store(storage, data, 1, OUTPUT_FORMS="table")
        tables.append(table_of(storage))
    whole = pa.concat_tables(tables)
    assert whole.num_rows == len(kinds)
    assert {table.schema for table in tables} == {whole.schema}
    assert not [field.name for field in whole.schema if str(field.type) == "null"]


def test_the_batch_and_the_cost_are_in_every_row(storage: LocalStorage) -> None:
    lines = [used("a", '{"x": [1,\n 2]}'), used("b", "plain"), nasty.failure("c", 8)]
    manifest = store(storage, b"\n".join(lines), 3, OUTPUT_FORMS="table")
    rows = rows_of(storage)
    assert {row["created"] for row in rows} == {"2026-01-31T10:00:00Z"}
    assert [row["value"] for row in rows] == ['{"x":[1,2]}', None, None]
    assert {row["model"] for row in rows} == {"models/gemini-3.5-flash"}
    assert isinstance(manifest.cost, Cost)
    assert sum(row["cost"] for row in rows) == Decimal(manifest.cost.amount) > 0


def test_oversize_line_has_its_row(storage: LocalStorage) -> None:
    store(
        storage,
        b'{"key":"' + b"x" * MAX_LINE_BYTES + b'"}\n' + line("k", "a"),
        2,
        OUTPUT_FORMS="table",
    )
    assert [parts(row, "line", "key", "outcome", "error_code") for row in rows_of(storage)] == [
        (1, None, "malformed", "oversize"),
        (2, "k", "ok", None),
    ]


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per key", "grouped"])
def test_table_is_the_same_again(storage: LocalStorage, tmp_path: Path, template: Any) -> None:
    again = LocalStorage(tmp_path / "again")
    for place in (storage, again):
        store(
            place,
            nasty.FILE,
            nasty.REQUESTS,
            template,
            OUTPUT_FORMS="raw,text,thoughts,json,media,table",
        )
    assert objects(storage) == objects(again)


def test_changed_table_is_named(storage: LocalStorage) -> None:
    store(storage, line("k", "a"), 1, OUTPUT_FORMS="table")
    assert findings(storage) == []
    data = read(storage, "b1/_table.parquet")
    storage.put_many([("b1/_table.parquet", data + b" ")])
    (finding,) = findings(storage)
    assert finding.startswith("b1/_table.parquet: ")


def test_json_table_has_the_same_columns(tmp_path: Path) -> None:
    table = JsonTable(tmp_path / "table")
    table.add(
        TableRow(
            "batches/b1",
            "k",
            1,
            "ok",
            "a\x00ä",
            prompt_tokens=1,
            media=["m"],
            embedding=[0.1, -1e-9],
        )
    )
    table.finish()
    row = json.loads(gzip.decompress(table.path.read_bytes()))
    assert list(row) == COLUMNS
    assert parts(row, "text", "embedding", "media", "error_code") == (
        "a\x00ä",
        [0.1, -1e-9],
        ["m"],
        None,
    )


def test_finish_can_be_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise ShuttingDownError

    table = ParquetTable(tmp_path / "table", stop)
    table.add(TableRow("batches/b1", "k", 1, "ok"))
    with pytest.raises(ShuttingDownError):
        table.finish()
    table.close()


def test_many_rows_make_many_groups(tmp_path: Path) -> None:
    table = ParquetTable(tmp_path / "table", lambda: None)
    for number in range(3000):
        table.add(
            TableRow("batches/b1", str(number), number, "ok", embedding=[float(number)] * 1500)
        )
    table.finish()
    file = parquet.ParquetFile(table.path)
    assert file.num_row_groups == 5
    column = file.read(["line", "embedding"])
    assert [row[0] for row in column.column("embedding").to_pylist()] == column.column(
        "line"
    ).to_pylist()


TABLES = {
    "text": line("k", "a"),
    "nothing": nasty.failure("k", 8) + b"\n",
    "picture": line("k", {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
    "call": line("k", {"functionCall": {"name": "f", "args": {"a": 1}}}),
    "candidates": json.dumps(
        {
            "response": {"candidates": [{"content": {"parts": [{"text": text}]}} for text in "ab"]},
            "key": "k",
        }
    ).encode()
    + b"\n",
}


def test_tables_of_all_kinds_join(tmp_path: Path) -> None:
    """Every column has its full type, whatever a batch holds."""
    paths = []
    for name, data in TABLES.items():
        storage = LocalStorage(tmp_path / name)
        store(storage, data, 1, OUTPUT_FORMS="table,media")
        paths.append(storage.root / "b1" / "_table.parquet")
    schemas = {str(parquet.read_schema(str(path))) for path in paths}
    assert len(schemas) == 1
    assert pl.concat([pl.read_parquet(path) for path in paths]).height == len(TABLES)
    found: Any = duckdb.sql(
        f"SELECT count(*), count(function_calls) FROM read_parquet({[str(path) for path in paths]})"
    )
    assert found.fetchall() == [(len(TABLES), 1)]


def test_tables_of_lines_join(tmp_path: Path) -> None:
    """JSON names no types: polars is told to find the common one, DuckDB finds it."""
    paths = []
    for number, more in enumerate(
        (
            TableRow("b", "k", 1, "ok"),
            TableRow("b", "k", 1, "ok", "a", media=["m"], embedding=[0.5]),
        )
    ):
        table = JsonTable(tmp_path / f"table{number}.jsonl.gz")
        table.add(more)
        table.finish()
        paths.append(table.path)
    frames = [pl.read_ndjson(path) for path in paths]
    assert pl.concat(frames, how="diagonal_relaxed")["media"].to_list() == [[], ["m"]]
    found: Any = duckdb.sql(
        f"SELECT media FROM read_json({[str(path) for path in paths]}, union_by_name=true) ORDER BY text"
    )
    assert sorted(found.fetchall()) == [([],), (["m"],)]


def test_further_candidates_are_in_the_row(storage: LocalStorage) -> None:
    store(storage, TABLES["candidates"], 1, OUTPUT_FORMS="table")
    (row,) = rows_of(storage)
    assert parts(row, "text", "candidate") == ("a", 0)
    assert [(one["candidate"], one["text"]) for one in row["further_candidates"]] == [(1, "b")]
