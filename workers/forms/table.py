"""The table of a batch: one row per line of its source, all with the same columns.

Parquet where pyarrow is installed (extra `parquet`), else gzip of JSON lines. Memory is bounded by
the rows that are written together.
"""

import importlib
from array import array
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import msgspec

from receiver.outputs.forms import has_parquet
from workers.store.records import GzipWriter

COUNTS = ("prompt", "cached", "candidates", "thoughts", "tool_use_prompt", "total")
ROW_BATCH_SIZE = 8192
BATCH_BYTES = 4 * 1024 * 1024
ROW_BYTES = 256  # about, of a row without its text and its embedding
FLOAT_BYTES = 4
LABELS = ("batch", "outcome", "finish_reason", "error_code", "model", "display_name", "created")
ANSWER_TEXTS = ("function_calls", "code", "code_output")
EMBEDDING, FURTHER = "embedding", "further_candidates"
BATCH_TEXTS = ("model", "display_name", "created", "value")
COST_DIGITS, COST_PLACES = 38, 15  # of a cost in US dollars


class FurtherCandidate(msgspec.Struct, gc=False):
    """A candidate other than the one whose text the row has."""

    candidate: int  # its place among the candidates, from 0
    finish_reason: str | None
    text: str | None
    function_calls: str | None
    code: str | None
    code_output: str | None


class TableRow(msgspec.Struct, gc=False):
    """One line of the source. Text is UTF-8."""

    batch: str  # "batches/<id>"
    key: str | None
    line: int  # from 1
    outcome: str
    text: str | None = None  # without thoughts
    finish_reason: str | None = None
    error_code: str | None = None  # of an error, of a malformed line, or why a prompt was blocked
    error_message: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    candidates_tokens: int | None = None
    thoughts_tokens: int | None = None
    tool_use_prompt_tokens: int | None = None
    total_tokens: int | None = None
    media: list[str] = []  # names of objects, from the storage root
    embedding: list[float] | None = None
    candidate: int | None = None  # whose text it is; its place among the candidates, from 0
    function_calls: str | None = None  # JSON: a list of {"name", "args"}
    code: str | None = None  # that the model wrote to be run
    code_output: str | None = None  # what came of it
    further_candidates: list[FurtherCandidate] = []
    model: str | None = None  # that answered
    display_name: str | None = None  # of the batch
    created: str | None = None  # RFC 3339, by Gemini's clock
    value: str | None = None  # the text, where it is a JSON object or list, as compact JSON
    cost: Decimal | None = None  # of this answer alone, in US dollars; None where nobody knows


class Table(Protocol):
    """Writes rows into the file at `path`."""

    path: Path
    extension: str  # ".parquet"

    def add(self, row: TableRow) -> None:
        """The next row."""

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Let go of what is open; harmless after `finish`."""


def open_table(scratch: Path, check: Callable[[], None]) -> Table:
    """A table in the best available form.

    `check` is called between pieces of work, and may raise.
    """
    path = scratch / "table"
    return ParquetTable(path, check) if has_parquet() else JsonTable(path)


class JsonTable:
    """Gzip of JSON lines; its bytes depend on the rows alone."""

    extension = ".jsonl.gz"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = GzipWriter(path)
        self._encode = msgspec.json.Encoder(decimal_format="number").encode

    def add(self, row: TableRow) -> None:
        self._file.write(self._encode(row) + b"\n")

    def finish(self) -> None:
        self._file.finish()

    def close(self) -> None:
        self._file.close()


class ParquetTable:
    """Row groups of about 4 MiB at most; every table has the same schema.

    They wait in a scratch file: Parquet's writer takes 30 MiB, which large answers may need before.
    """

    extension = ".parquet"

    def __init__(self, path: Path, check: Callable[[], None]) -> None:
        self.path, self._check = path, check
        self._waiting_path = path.with_name(f"{path.name}-waiting")
        self._arrow: Any = importlib.import_module("pyarrow")
        # The default pool keeps what is freed.
        self._arrow.set_memory_pool(self._arrow.system_memory_pool())
        self._schema = _schema(self._arrow)
        self._waiting = self._arrow.ipc.new_stream(str(self._waiting_path), self._schema)
        self._rows: list[TableRow] = []
        self._embeddings = _Embeddings()
        self._bytes = 0

    def add(self, row: TableRow) -> None:
        self._bytes += ROW_BYTES + sum(len(text or "") for text in _texts(row))
        if row.embedding is not None:
            self._bytes += FLOAT_BYTES * len(row.embedding)
        self._embeddings.add(row.embedding)
        row.embedding = None
        self._rows.append(row)
        if self._bytes >= BATCH_BYTES or len(self._rows) >= ROW_BATCH_SIZE:
            self._flush()

    def _flush(self) -> None:
        columns = [self._column(field) for field in self._schema]
        self._waiting.write_batch(self._arrow.record_batch(columns, schema=self._schema))
        self._rows, self._bytes = [], 0

    def _column(self, field: Any) -> Any:
        if field.name == EMBEDDING:
            return self._embeddings.take(self._arrow)
        values = [getattr(row, field.name) for row in self._rows]
        if field.name == FURTHER:
            values = [[msgspec.structs.asdict(one) for one in some] for some in values]
        return self._arrow.array(values, field.type)

    def finish(self) -> None:
        if self._rows:
            self._flush()
        self._waiting.close()
        parquet = importlib.import_module("pyarrow.parquet")
        with (
            self._arrow.OSFile(str(self._waiting_path), "rb") as file,
            self._arrow.ipc.open_stream(file) as batches,
            parquet.ParquetWriter(str(self.path), self._schema, use_dictionary=[*LABELS]) as writer,
        ):
            for batch in batches:
                self._check()
                writer.write_batch(batch, row_group_size=len(batch))
        self._waiting_path.unlink()

    def close(self) -> None:
        self._waiting.close()


def _texts(row: TableRow) -> Iterator[str | None]:
    """The texts that make a row large."""
    yield from (row.text, row.function_calls, row.code, row.code_output, row.value)
    for one in row.further_candidates:
        yield from (one.text, one.function_calls, one.code, one.code_output)


class _Embeddings:
    """A column under way, with four bytes per number: Python's floats take eight times as much."""

    def __init__(self) -> None:
        self._values = array("f")
        self._starts: list[int | None] = []  # None: there is none

    def add(self, embedding: list[float] | None) -> None:
        self._starts.append(None if embedding is None else len(self._values))
        if embedding is not None:
            self._values.extend(embedding)

    def take(self, arrow: Any) -> Any:
        """What has gathered, as an Arrow array of lists."""
        values, starts = self._values, [*self._starts, len(self._values)]
        self._values, self._starts = array("f"), []
        numbers = arrow.Array.from_buffers(
            arrow.float32(), len(values), [None, arrow.py_buffer(values)]
        )
        return arrow.ListArray.from_arrays(arrow.array(starts, arrow.int32()), numbers)


def _schema(arrow: Any) -> Any:
    """The columns of the table, the same for every kind of batch: so tables concatenate."""
    text, count = arrow.string(), arrow.int64()
    texts = ("finish_reason", "text", *ANSWER_TEXTS)
    further = arrow.struct([("candidate", count), *((name, text) for name in texts)])
    return arrow.schema(
        [
            arrow.field("batch", text, nullable=False),
            ("key", text),
            arrow.field("line", count, nullable=False),
            arrow.field("outcome", text, nullable=False),
            *((name, text) for name in ("text", "finish_reason", "error_code", "error_message")),
            *((f"{name}_tokens", count) for name in COUNTS),
            ("media", arrow.list_(text)),
            (EMBEDDING, arrow.list_(arrow.float32())),
            ("candidate", count),
            *((name, text) for name in ANSWER_TEXTS),
            (FURTHER, arrow.list_(further)),
            *((name, text) for name in BATCH_TEXTS),
            ("cost", arrow.decimal128(COST_DIGITS, COST_PLACES)),
        ]
    )


def read_embedding(values: list[Any] | None) -> list[float] | None:
    """The numbers of an embedding; None when they are none, or not all finite."""
    try:
        numbers = array("d", values or ())
    except (TypeError, OverflowError):
        return None
    total = sum(numbers)
    return numbers.tolist() if numbers and total - total == 0 else None
