"""Writes rows into CSV, TSV, JSON lines or Parquet; the same rows give the same bytes."""

import csv
import importlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import msgspec

from receiver.errors import ExportError
from receiver.rows.readers import DELIMITERS, TableFormat
from workers.export.columns import Kind

DECIMAL_DIGITS, DECIMAL_PLACES = 38, 15  # of a cost in US dollars
# Times with nanoseconds have a type of their own in Python, which reads well as text.
_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode


class TableFile(Protocol):
    """Takes rows in blocks; `close` completes the file."""

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows, each with a cell per column."""

    def close(self) -> None:
        """No row follows."""


def open_table_file(
    path: Path, form: TableFormat, input_types: Mapping[str, Any], kinds: Mapping[str, Kind]
) -> TableFile:
    """A new file. `input_types` are the input's columns with their Arrow types, if they have any.

    `kinds` are the columns behind them. Raises ExportError.
    """
    if form == "parquet":
        return ParquetFile(path, input_types, kinds)
    names = [*input_types, *kinds]
    return JsonFile(path, names) if form == "jsonl" else SeparatedFile(path, names, form)


class SeparatedFile:
    """CSV or TSV as RFC 4180 has it, in UTF-8. An absent value and an empty text look the same."""

    def __init__(self, path: Path, names: Sequence[str], form: TableFormat) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, delimiter=DELIMITERS[form])
        self._writer.writerow(names)

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        self._writer.writerows([_as_text(cell) for cell in row] for row in rows)

    def close(self) -> None:
        self._file.close()


def _as_text(cell: Any) -> Any:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, bytes):  # as in JSON
        return b64encode(cell).decode()
    return _encode(cell).decode() if isinstance(cell, list | dict) else cell


class JsonFile:
    """One JSON object per line."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file, self._names = path.open("wb"), names

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        names = self._names
        self._file.writelines(_encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows)

    def close(self) -> None:
        self._file.close()


class ParquetFile:
    """One row group per block; every column has its type also where all of its cells are null."""

    def __init__(
        self, path: Path, input_types: Mapping[str, Any], kinds: Mapping[str, Kind]
    ) -> None:
        self._arrow = load_arrow()
        types = {name: one or self._arrow.string() for name, one in input_types.items()}
        types |= {name: _arrow_type(self._arrow, kind) for name, kind in kinds.items()}
        self._schema = self._arrow.schema(list(types.items()))
        parquet = importlib.import_module("pyarrow.parquet")
        self._writer = parquet.ParquetWriter(str(path), self._schema, compression="zstd")

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        columns = [
            self._column(field, list(cells))
            for field, cells in zip(self._schema, zip(*rows, strict=True), strict=True)
        ]
        batch = self._arrow.record_batch(columns, schema=self._schema)
        self._writer.write_batch(batch, row_group_size=len(rows))

    def _column(self, field: Any, cells: list[Any]) -> Any:
        try:
            return self._arrow.array(cells, field.type)
        except (ValueError, TypeError) as error:  # pyarrow's errors are one or the other
            raise ExportError(
                f"column {field.name!r} does not hold {field.type}: {error}"
            ) from error

    def close(self) -> None:
        self._writer.close()


def load_arrow() -> Any:
    """The package pyarrow. Raises ExportError where it is not installed."""
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise ExportError(
            "Parquet needs the package pyarrow: pip install 'gemini-batch-receiver[parquet]', or"
            " export to .csv or .jsonl"
        ) from error


def _arrow_type(arrow: Any, kind: Kind) -> Any:
    match kind:
        case "integer":
            return arrow.int64()
        case "number":
            return arrow.float64()
        case "boolean":
            return arrow.bool_()
        case "vector":
            return arrow.list_(arrow.float32())
        case "decimal":
            return arrow.decimal128(DECIMAL_DIGITS, DECIMAL_PLACES)
        case _:
            return arrow.string()
