"""The rows of the table that a submission was made of, and the types of its columns."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from receiver.rows.plan import RowsRecord
from receiver.rows.readers import DELIMITERS, TableFormat, read_rows, read_separated
from workers.export.table_files import load_arrow

KEY_COLUMN = "key"  # of a submission that was made of requests


class InputTable:
    """A table by its record; without one, the keys of the requests are its only column."""

    def __init__(self, path: Path, record: RowsRecord | None) -> None:
        self._path, self._record = path, record

    @property
    def columns(self) -> tuple[str, ...]:
        return self._record.columns if self._record else (KEY_COLUMN,)

    def types(self, form: TableFormat) -> dict[str, Any]:
        """The Arrow type of each column for a file of this form; None where text will do."""
        plain = dict.fromkeys(self.columns)
        if form != "parquet" or self._record is None:
            return plain
        arrow = load_arrow()
        if self._record.format == "parquet":
            parquet = importlib.import_module("pyarrow.parquet")
            schema = parquet.read_schema(self._path)
            return {name: schema.field(name).type for name in self.columns}
        if self._record.format == "jsonl":
            return plain | _infer(arrow, self._path, self.columns)
        return plain

    def cells(self, types: dict[str, Any]) -> Iterator[list[Any]]:
        """The cells of each row, in order; `types` as `types` gave them.

        Values of JSON lines that are no text become JSON in a column of text.
        """
        assert self._record is not None  # noqa: S101 - for the type checker
        if self._record.format in DELIMITERS:
            yield from read_separated(self._path, self._record.format)
            return
        is_mixed = self._record.format == "jsonl" and any(types.values())
        as_json = [name for name in self.columns if is_mixed and types[name] is None]
        for row in read_rows(self._path, self._record.format):
            cells = row.cells
            for name in as_json:
                value = cells.get(name)
                if value is not None and not isinstance(value, str):
                    cells[name] = msgspec.json.encode(value).decode()
            yield [cells.get(name) for name in self.columns]


def _infer(arrow: Any, path: Path, columns: tuple[str, ...]) -> dict[str, Any]:
    """A type for each column of JSON lines; text for what is mixed or nested."""
    seen: dict[str, set[type]] = {name: set() for name in columns}
    for row in read_rows(path, "jsonl"):
        for name, value in row.cells.items():
            if value is not None:
                seen[name].add(type(value) if not _is_large(value) else str)
    return {name: _type_for(arrow, kinds) for name, kinds in seen.items()}


def _is_large(value: object) -> bool:
    return type(value) is int and not -(2**63) <= value < 2**63


def _type_for(arrow: Any, kinds: set[type]) -> Any:
    if kinds == {bool}:
        return arrow.bool_()
    if kinds == {int}:
        return arrow.int64()
    if kinds and kinds <= {int, float}:
        return arrow.float64()
    return None
