"""One writer per form: takes each answer, in the source's order, and passes it to the outputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from receiver.answers.answer import NO_CANDIDATE, Answer, Candidate, plain_text
from receiver.answers.index_rows import IndexRow
from receiver.errors import BrokenAnswerError
from receiver.outputs.forms import Form
from receiver.outputs.outcomes import Outcome
from workers.forms.media import Decoded, decode_media
from workers.forms.names import FormNames
from workers.forms.outputs import FormOutputs
from workers.forms.structured import StructuredAnswers, encode_calls
from workers.forms.table import COUNTS, FurtherCandidate, Table, TableRow, read_embedding
from workers.results.line_cost import LineCost
from workers.results.parser import parse_result
from workers.results.rules import Result
from workers.store.records import encode_row, file_sha256

SECOND_LINE = "its key had an earlier line"
_parse_value = StructuredAnswers(None).parse


class FormEntry(NamedTuple):
    """A line of the source on its way through the writers."""

    row: IndexRow  # its raw form
    line: bytes
    answer: Answer
    result: Result | None = None  # of a line that was too long to be parsed


class Writer(Protocol):
    """Makes one form."""

    def add(self, entry: FormEntry) -> None:
        """Take the next line."""

    def close(self) -> None:
        """No line follows."""


class BatchFacts(NamedTuple):
    """The batch whose forms are made; the table says of it in each row what it is."""

    batch: str  # its name in any of its forms
    model: str | None = None  # of the batch; a line may name another
    display_name: str | None = None
    created: str | None = None  # RFC 3339
    cost_of: LineCost = lambda _: None


class FormTarget(NamedTuple):
    """Where the writers of a batch put what they make."""

    batch: str  # "batches/<id>"
    names: FormNames
    outputs: FormOutputs
    facts: BatchFacts


def _row_start(target: FormTarget, row: IndexRow) -> dict[str, Any]:
    """What every row of a shared object has."""
    key = None if row.key is None else plain_text(row.key)
    return {"batch": target.batch, "key": key, "line": row.line, "outcome": row.outcome}


class TextWriter:
    """`text` and `thoughts`: an object of UTF-8 for each candidate, or rows with the words."""

    def __init__(
        self, form: Form, target: FormTarget, text_of: Callable[[Candidate], str | None]
    ) -> None:
        self._form, self._target, self._text_of = form, target, text_of

    def add(self, entry: FormEntry) -> None:
        target, row = self._target, entry.row
        for candidate in entry.answer.candidates:
            words = self._text_of(candidate)
            if words is None:
                continue
            words = plain_text(words)
            name = target.names.name(
                self._form, row.object, ".txt", _further_number(entry, candidate)
            )
            if target.names.groups:
                about = _row_start(target, row) | {"candidate": candidate.number, self._form: words}
                target.outputs.put_row(self._form, name, encode_row(about))
            else:
                target.outputs.put(self._form, name, words.encode(), row.line, row.key)

    def close(self) -> None:
        """Nothing waits here."""


def _further_number(entry: FormEntry, candidate: Candidate) -> int | None:
    """The number in the name of a candidate; None for the one that decides, which needs none."""
    return None if candidate is entry.answer.chosen else candidate.number


class MediaWriter:
    """`media`: an object for each picture or sound, numbered from 1 within its answer."""

    def __init__(self, target: FormTarget, scratch: Path) -> None:
        self._target, self._scratch = target, scratch
        self._count = 0
        self.names: list[str] = []  # of the last answer

    def add(self, entry: FormEntry) -> None:
        target, row = self._target, entry.row
        self.names = []
        parts = [part for candidate in entry.answer.candidates for part in candidate.media]
        for number, part in enumerate(parts, 1):
            self._count += 1
            path = self._scratch / f"media-{self._count}"
            try:
                decoded = decode_media(part, path)
            except BrokenAnswerError as error:
                target.outputs.index.add_failure(
                    "media", row.line, row.key, f"part {number}: {error}"
                )
                continue
            name = target.names.media(row.object, row.line, row.key, number, decoded.extension)
            target.outputs.put_file("media", name, path, decoded, row.line, row.key)
            self.names.append(name)

    def close(self) -> None:
        """Nothing waits here."""


class TableWriter:
    """`table`: one object with one row per line."""

    def __init__(
        self, target: FormTarget, table: Table, name: str, media: MediaWriter | None
    ) -> None:
        """`name` has no extension; `media` takes each line first, and knows the names it gave."""
        self._target, self._table, self._name, self._media = target, table, name, media

    def add(self, entry: FormEntry) -> None:
        self._table.add(_table_row(self._target, entry, self._media.names if self._media else []))

    def close(self) -> None:
        table = self._table
        table.finish()
        decoded = Decoded(table.path.stat().st_size, file_sha256(table.path))
        self._target.outputs.put_file(
            "table", self._name + table.extension, table.path, decoded, None, None
        )


def _table_row(target: FormTarget, entry: FormEntry, media: list[str]) -> TableRow:
    row, answer = entry.row, entry.answer
    result = entry.result or parse_result(entry.line, valid_utf8=False)
    facts = target.facts
    written = TableRow(
        **_row_start(target, row),
        media=media,
        model=_plain(result.model or facts.model),
        display_name=_plain(facts.display_name),
        created=_plain(facts.created),
    )
    usage = result.usage
    if usage is not None:
        for count in COUNTS:
            setattr(written, f"{count}_tokens", getattr(usage, count))
    if row.outcome == Outcome.DUPLICATE:
        written.error_message = SECOND_LINE
        return written
    written.cost = facts.cost_of(result)
    code = None if result.code is None else plain_text(result.code)
    chosen = answer.chosen or NO_CANDIDATE
    if code in answer.finish_reasons:
        written.finish_reason = code
    if code not in answer.finish_reasons or row.outcome == Outcome.ERROR:
        written.error_code = code
    written.error_message = result.message

    written.text = _plain(chosen.text)
    written.value = _value_of(chosen.text)
    written.code, written.code_output = _plain(chosen.code), _plain(chosen.code_output)
    written.function_calls = _calls_of(chosen)
    written.embedding = read_embedding(answer.embedding)
    written.candidate = None if answer.chosen is None else answer.chosen.number
    written.further_candidates = [
        FurtherCandidate(
            one.number,
            _plain(one.finish_reason),
            _plain(one.text),
            _calls_of(one),
            _plain(one.code),
            _plain(one.code_output),
        )
        for one in answer.further
    ]
    return written


def _plain(text: str | None) -> str | None:
    return None if text is None else plain_text(text)


def _value_of(text: str | None) -> str | None:
    """A text that is a JSON object or list, as compact JSON."""
    if text is None or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return _parse_value(text).decode()
    except BrokenAnswerError:
        return None


def _calls_of(candidate: Candidate) -> str | None:
    return encode_calls(candidate.calls).decode() if candidate.calls else None


class JsonWriter:
    """`json`: an object with the structured answer of each candidate, or rows with it as `value`.

    Of an answer that calls functions, it holds `{"function_calls": [{"name", "args"}]}`.
    """

    def __init__(self, target: FormTarget, answers: StructuredAnswers) -> None:
        self._target, self._answers = target, answers

    def add(self, entry: FormEntry) -> None:
        row, target = entry.row, self._target
        for candidate in entry.answer.candidates:
            if candidate.text is None and not candidate.calls:
                continue
            try:
                data = self._encode(candidate)
            except BrokenAnswerError as error:
                number = _further_number(entry, candidate)
                about = "" if number is None else f"candidate {number}: "
                target.outputs.index.add_failure("json", row.line, row.key, f"{about}{error}")
                continue
            name = target.names.name("json", row.object, ".json", _further_number(entry, candidate))
            if target.names.groups:
                start = encode_row(
                    _row_start(target, row) | {"candidate": candidate.number}
                ).removesuffix(b"}")
                target.outputs.put_row("json", name, start + b',"value":' + data + b"}")
            else:
                target.outputs.put("json", name, data + b"\n", row.line, row.key)

    def _encode(self, candidate: Candidate) -> bytes:
        if candidate.calls:
            return b'{"function_calls":' + encode_calls(candidate.calls) + b"}"
        return self._answers.parse(candidate.text or "")

    def close(self) -> None:
        """Nothing waits here."""
