"""Reads the rows of a table: CSV, TSV, JSON lines or Parquet. Memory holds some rows at a time."""

import csv
import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec

from receiver.errors import RowsError

TableFormat = Literal["csv", "tsv", "jsonl", "parquet"]
ENDINGS: Mapping[str, TableFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
DELIMITERS: Mapping[str, str] = {"csv": ",", "tsv": "\t"}
MAX_CELL_CHARACTERS = 64 * 1024 * 1024
PARQUET_ROWS = 1024  # that are decoded together
BOM = "\ufeff"


class Row(NamedTuple):
    """One row: its cells by column; those of CSV and TSV are all text."""

    number: int  # from 1; the header of CSV and TSV is no row
    cells: dict[str, Any]


def table_format(path: Path) -> TableFormat | None:
    """The format that a file's ending names, if any."""
    return ENDINGS.get(path.suffix.lower())


def read_columns(path: Path, form: TableFormat) -> tuple[str, ...]:
    """The names of the columns; of JSON lines those of all rows, in the order of first sight.

    Raises RowsError.
    """
    if form == "parquet":
        with path.open("rb") as file:
            return tuple(_open_parquet(file, path).schema_arrow.names)
    if form == "jsonl":
        return tuple(dict.fromkeys(name for row in read_rows(path, form) for name in row.cells))
    with _open_text(path) as lines:
        return _read_header(csv.reader(lines, delimiter=DELIMITERS[form], strict=True), path)


def read_rows(path: Path, form: TableFormat) -> Iterator[Row]:
    """Every row in its order. Raises RowsError, which names the row that is wrong."""
    readers: Mapping[TableFormat, Callable[[Path, TableFormat], Iterator[Row]]] = {
        "csv": _read_separated,
        "tsv": _read_separated,
        "jsonl": _read_json_lines,
        "parquet": _read_parquet,
    }
    try:
        yield from readers[form](path, form)
    except OSError as error:
        raise RowsError(f"{path} can't be read: {error.strerror or error}") from error


def _open_text(path: Path) -> IO[str]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    # What is no UTF-8 is found row by row: the decoder reads ahead, and knows of no rows.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read_header(rows: Iterator[list[str]], path: Path) -> tuple[str, ...]:
    try:
        header = _require_utf8(next(rows, []))
    except (csv.Error, ValueError) as error:
        raise RowsError(f"the header of {path}: {error}") from error
    if not header:
        raise RowsError(f"{path} is empty: its first line must name the columns")
    _require_names(header, path)
    return tuple(header)


def _require_names(header: list[str], path: Path) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if "" in header:
        number = header.index("") + 1
        raise RowsError(f"column {number} of {path} has no name: give it one in the first line")
    if twice:
        raise RowsError(f"{path} has the column {twice[0]!r} twice: rename one")


def read_separated(path: Path, form: TableFormat) -> Iterator[list[str]]:
    """The cells of each row of CSV or TSV, as many as the header has. Raises RowsError."""
    with _open_text(path) as lines:
        rows = csv.reader(lines, delimiter=DELIMITERS[form], strict=True)
        width, number = len(_read_header(rows, path)), 0
        while True:
            try:
                cells = _require_utf8(next(rows))
            except StopIteration:
                return
            except (csv.Error, ValueError) as error:
                hint = ": a quote is never closed" if "end of data" in str(error) else ""
                raise RowsError(f"row {number + 1} of {path}: {error}{hint}") from error
            if not cells:  # a blank line, as many programs write at the end
                continue
            number += 1
            if len(cells) != width:
                raise RowsError(
                    f"row {number} of {path} (line {rows.line_num}) has {len(cells)} cells, and"
                    f" the header {width}: is a cell with the separator or a quote in it"
                    " not quoted?"
                )
            yield cells


def _read_separated(path: Path, form: TableFormat) -> Iterator[Row]:
    header = read_columns(path, form)
    for number, cells in enumerate(read_separated(path, form), 1):
        yield Row(number, dict(zip(header, cells, strict=True)))


def _require_utf8(cells: list[str]) -> list[str]:
    """The same. Raises ValueError where a cell has bytes that are no UTF-8."""
    text = "".join(cells)
    if text.isascii():  # as most are, and this takes no copy
        return cells
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("it is no UTF-8: save the file as UTF-8") from error
    return cells


def _read_json_lines(path: Path, _form: TableFormat) -> Iterator[Row]:
    number = 0
    with path.open("rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            number += 1
            yield Row(number, _read_object(line, number, path))


def _read_object(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line.removeprefix(BOM.encode()))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RowsError(f"row {number} of {path} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise RowsError(f"row {number} of {path} is no JSON object: write one object per line")
    return row


def _open_parquet(file: IO[bytes], path: Path) -> Any:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise RowsError(
            f"{path} needs the package pyarrow: pip install"
            " 'gemini-batch-receiver[parquet]', or save it as CSV or JSON lines"
        ) from error
    try:
        return parquet.ParquetFile(file)
    except (ValueError, OSError) as error:  # pyarrow's errors are one or the other
        raise RowsError(f"{path} is no Parquet file: {error}") from error


def _read_parquet(path: Path, _form: TableFormat) -> Iterator[Row]:
    number = 0
    with path.open("rb") as file:
        for some in _open_parquet(file, path).iter_batches(batch_size=PARQUET_ROWS):
            for cells in some.to_pylist():
                number += 1
                yield Row(number, cells)
