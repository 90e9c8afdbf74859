"""The forms of one batch, beside its raw outputs: what OUTPUT_FORMS asks for."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from msgspec import UNSET

from receiver.answers.answer import NO_ANSWER, read_answer
from receiver.answers.index_rows import IndexRow
from receiver.batch_names import BatchName
from receiver.outputs.forms import Form
from receiver.outputs.manifest import FormsRecord, Record
from receiver.outputs.outcomes import Outcome
from receiver.outputs.paths import Template, errors_name, forms_name, table_name
from receiver.settings.response_schemas import build_validator
from receiver.storage import Storage
from workers.forms.names import FormNames
from workers.forms.outputs import LEFT_OUT, FormOutputs, FormsIndex
from workers.forms.structured import StructuredAnswers
from workers.forms.table import Table, open_table
from workers.forms.writers import (
    BatchFacts,
    FormEntry,
    FormTarget,
    JsonWriter,
    MediaWriter,
    TableWriter,
    TextWriter,
    Writer,
)
from workers.results.rules import Result

_WITHOUT_ANSWER = frozenset({Outcome.MALFORMED, Outcome.DUPLICATE})


class FormOptions(Protocol):
    """The settings of forms that a user chose."""

    @property
    def template(self) -> Template: ...

    @property
    def forms(self) -> tuple[Form, ...]: ...

    @property
    def response_schema(self) -> dict[str, Any] | None: ...


def schema_sha256(schema: Mapping[str, Any]) -> str:
    """The sha256 of a schema in hex, whatever the order of its members."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()


class Forms:
    """A context manager that takes the lines of one batch and their index rows; then `store`."""

    def __init__(
        self,
        settings: FormOptions,
        facts: BatchFacts,
        storage: Storage,
        check: Callable[[], None],
        scratch: Path,
    ) -> None:
        self._folder = folder = scratch / "forms"
        folder.mkdir()
        batch_id = facts.batch
        self._errors_name, self._name = errors_name(batch_id), forms_name(batch_id)
        self._table_name = table_name(batch_id)
        self._storage, self._check, self._settings = storage, check, settings
        self._index = FormsIndex(folder / "index")
        self._outputs = FormOutputs(storage, check, folder, self._index)
        names = FormNames(batch_id, settings.template)
        self._target = FormTarget(BatchName.read(batch_id).gemini, names, self._outputs, facts)
        self._table: Table | None = None
        media = MediaWriter(self._target, folder)
        self._writers = [self._writer(form, media) for form in settings.forms]

    def _writer(self, form: Form, media: MediaWriter) -> Writer:
        match form:
            case "json":
                schema = self._settings.response_schema
                return JsonWriter(
                    self._target,
                    StructuredAnswers(None if schema is None else build_validator(schema)),
                )
            case "media":
                return media
            case "table":
                table = self._table = open_table(self._folder, self._check)
                named = media if "media" in self._settings.forms else None
                return TableWriter(self._target, table, self._table_name, named)
            case "thoughts":
                return TextWriter(form, self._target, lambda candidate: candidate.thoughts)
            case _:
                return TextWriter(form, self._target, lambda candidate: candidate.text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()
        if self._table is not None:
            self._table.close()

    def add(self, rows: Iterable[IndexRow], lines: list[bytes], before: int) -> None:
        """Take a block: its rows and all its lines; `before` lines come before it."""
        for row in rows:
            line = lines[row.line - before - 1]
            answer = NO_ANSWER if row.outcome in _WITHOUT_ANSWER else read_answer(line)
            if row.object != self._errors_name and (left := answer.left_out(self._settings.forms)):
                self._index.add_failure(LEFT_OUT, row.line, row.key, left)
            self._give(FormEntry(row, line, answer))

    def add_unread(self, row: IndexRow, result: Result) -> None:
        """Take a line that was too long to be read."""
        self._give(FormEntry(row, b"", NO_ANSWER, result))

    def _give(self, entry: FormEntry) -> None:
        for writer in self._writers:
            writer.add(entry)

    def store(self) -> FormsRecord:
        """Write what has gathered; then all forms are in the storage, and their index."""
        for writer in self._writers:
            writer.close()
        self._outputs.close()
        index = self._index
        digest = index.finish()
        self._check()
        self._storage.put_files([(self._name, index.path)])
        counts: dict[str, int] = {form: index.objects[form] for form in self._settings.forms}
        failed = {
            form: index.failed[form]
            for form in (*self._settings.forms, LEFT_OUT)
            if index.failed[form]
        }
        schema = self._settings.response_schema
        made_with = UNSET if schema is None else schema_sha256(schema)
        return FormsRecord(Record(self._name, digest), counts, index.size_bytes, failed, made_with)
