"""Rows are read as they are written, and a wrong one is named."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from receiver.errors import RowsError
from receiver.rows.readers import TableFormat, read_columns, read_rows, table_format

HOSTILE = [
    'a "quoted" cell',
    "two\nlines",
    "carriage\r\nreturn",
    "emoji 👩‍🚀 and \u2028",
    "NUL \0 inside",
    "comma, semicolon; tab\t",
    "x" * 1_000_000,
    "",
    "=1+1",
]


def write_separated(path: Path, delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "text"])
        writer.writerows([str(number), text] for number, text in enumerate(HOSTILE, 1))


def write_json_lines(path: Path) -> None:
    rows = [{"id": number, "text": text} for number, text in enumerate(HOSTILE, 1)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def write_parquet(path: Path) -> None:
    table = pa.table({"id": list(range(1, len(HOSTILE) + 1)), "text": HOSTILE})
    parquet.write_table(table, path)


def write_as(form: TableFormat, path: Path) -> None:
    match form:
        case "csv":
            write_separated(path)
        case "tsv":
            write_separated(path, "\t")
        case "jsonl":
            write_json_lines(path)
        case "parquet":
            write_parquet(path)


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_hostile_cells_come_as_they_were_written(form: TableFormat, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{form}"
    write_as(form, path)
    rows = list(read_rows(path, form))
    assert [row.cells["text"] for row in rows] == HOSTILE
    assert [row.number for row in rows] == list(range(1, len(HOSTILE) + 1))
    assert read_columns(path, form) == ("id", "text")


def test_columns_of_json_lines_are_those_of_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"b": 1}\n\n{"a": 2, "b": null}\n')
    assert read_columns(path, "jsonl") == ("b", "a")
    assert [row.cells for row in read_rows(path, "jsonl")] == [{"b": 1}, {"a": 2, "b": None}]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbfid,text\n1,a\n")
    assert read_columns(path, "csv") == ("id", "text")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty: its first line must name the columns"),
        (b"id,\n1,2\n", "column 2 of .* has no name"),
        (b"id,id\n1,2\n", "has the column 'id' twice"),
        (b"id,text\n1,a\n2,b,c\n", r"row 2 of .* \(line 3\) has 3 cells, and the header 2"),
        (b'id,text\n1,"a\n', "row 1 of .*: unexpected end of data: a quote is never closed"),
        (b"id,text\n1,\xff\n", r"row 1 of .*: it is no UTF-8"),
        (b"\xff,text\n", r"the header of .*: it is no UTF-8"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_row(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    with pytest.raises(RowsError, match=words):
        list(read_rows(path, "csv"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1}\nnonsense\n', "row 2 of .* is no JSON"),
        (b'{"a": 1}\n[1]\n', "row 2 of .* is no JSON object"),
    ],
)
def test_a_wrong_json_line_is_refused_with_its_row(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(RowsError, match=words):
        list(read_rows(path, "jsonl"))


def test_what_is_no_parquet_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(RowsError, match="can't be read: No such file"):
        list(read_rows(path, "parquet"))
    path.write_text("id,text\n")
    with pytest.raises(RowsError, match="is no Parquet file"):
        list(read_rows(path, "parquet"))


@pytest.mark.parametrize(
    ("name", "form"), [("a.CSV", "csv"), ("a.ndjson", "jsonl"), ("a.txt", None), ("a.csv.gz", None)]
)
def test_the_ending_names_the_format(name: str, form: TableFormat | None) -> None:
    assert table_format(Path(name)) == form
