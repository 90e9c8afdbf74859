"""One writer a form: takes each answer, in the source's order, and gives it to the outputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from receiver.outputs.forms import Form
from receiver.outputs.outcomes import Outcome
from workers.forms.answers import NO_CANDIDATE, Answer, Candidate, plain_text
from workers.forms.media import Decoded, decode_media
from workers.forms.names import FormNames
from workers.forms.outputs import FormOutputs
from workers.forms.structured import BrokenAnswerError, StructuredAnswers, encode_calls
from workers.forms.table import COUNTS, FurtherCandidate, Table, TableRow, read_embedding
from workers.results.parser import parse_result
from workers.results.rules import Result
from workers.store.index_rows import IndexRow
from workers.store.records import encode_row, file_sha256

SECOND_LINE = "its key had an earlier line"


class FormEntry(NamedTuple):
    """A line of the source on its way through the writers."""

    row: IndexRow  # its raw form
    line: bytes
    answer: Answer
    result: Result | None = None  # where the line itself can't tell: it was too long


class Writer(Protocol):
    """Makes one form."""

    def add(self, entry: FormEntry) -> None:
        """Take the next line."""

    def close(self) -> None:
        """All lines came."""


class Place(NamedTuple):
    """Where the writers of a batch put what they make."""

    batch: str  # "batches/<id>"
    names: FormNames
    outputs: FormOutputs


def _row_start(place: Place, row: IndexRow) -> dict[str, Any]:
    """What every row of a shared object repeats."""
    key = None if row.key is None else plain_text(row.key)
    return {"batch": place.batch, "key": key, "line": row.line, "outcome": row.outcome}


class TextWriter:
    """`text` and `thoughts`: an object of UTF-8 for each candidate, or rows with the words."""

    def __init__(self, form: Form, place: Place, read: Callable[[Candidate], str | None]) -> None:
        self._form, self._place, self._read = form, place, read

    def add(self, entry: FormEntry) -> None:
        place, row = self._place, entry.row
        for candidate in entry.answer.candidates:
            words = self._read(candidate)
            if words is None:
                continue
            words = plain_text(words)
            name = place.names.name(
                self._form, row.object, ".txt", _further_number(entry, candidate)
            )
            if place.names.groups:
                about = _row_start(place, row) | {"candidate": candidate.number, self._form: words}
                place.outputs.put_row(self._form, name, encode_row(about))
            else:
                place.outputs.put(self._form, name, words.encode(), row.line, row.key)

    def close(self) -> None:
        """Nothing waits here."""


def _further_number(entry: FormEntry, candidate: Candidate) -> int | None:
    """The number that names a candidate; None for the one that decides, whose name needs none."""
    return None if candidate is entry.answer.chosen else candidate.number


class MediaWriter:
    """`media`: an object for each picture or sound, numbered from 1 within its answer."""

    def __init__(self, place: Place, scratch: Path) -> None:
        self._place, self._scratch = place, scratch
        self._count = 0
        self.names: list[str] = []  # of the last answer

    def add(self, entry: FormEntry) -> None:
        place, row = self._place, entry.row
        self.names = []
        parts = [part for candidate in entry.answer.candidates for part in candidate.media]
        for number, part in enumerate(parts, 1):
            self._count += 1
            path = self._scratch / f"media-{self._count}"
            try:
                decoded = decode_media(part, path)
            except BrokenAnswerError as error:
                place.outputs.index.add_failure(
                    "media", row.line, row.key, f"part {number}: {error}"
                )
                continue
            name = place.names.media(row.object, row.line, row.key, number, decoded.extension)
            place.outputs.put_file("media", name, path, decoded, row.line, row.key)
            self.names.append(name)

    def close(self) -> None:
        """Nothing waits here."""


class TableWriter:
    """`table`: one object with a row a line."""

    def __init__(self, place: Place, table: Table, name: str, media: MediaWriter | None) -> None:
        """`name` without the ending; `media` goes first, and tells what it named."""
        self._place, self._table, self._name, self._media = place, table, name, media

    def add(self, entry: FormEntry) -> None:
        self._table.add(_table_row(self._place, entry, self._media.names if self._media else []))

    def close(self) -> None:
        table = self._table
        table.finish()
        decoded = Decoded(table.path.stat().st_size, file_sha256(table.path))
        self._place.outputs.put_file(
            "table", self._name + table.extension, table.path, decoded, None, None
        )


def _table_row(place: Place, entry: FormEntry, media: list[str]) -> TableRow:
    row, answer = entry.row, entry.answer
    result = entry.result or parse_result(entry.line, valid_utf8=False)
    written = TableRow(**_row_start(place, row), media=media)
    usage = result.usage
    if usage is not None:
        for count in COUNTS:
            setattr(written, f"{count}_tokens", getattr(usage, count))
    if row.outcome == Outcome.DUPLICATE:
        written.error_message = SECOND_LINE
        return written
    code = None if result.code is None else plain_text(result.code)
    chosen = answer.chosen or NO_CANDIDATE
    if code in answer.finish_reasons:
        written.finish_reason = code
    if code not in answer.finish_reasons or row.outcome == Outcome.ERROR:
        written.error_code = code
    written.error_message = result.message
    written.text, written.code, written.code_output = (
        _plain(chosen.text),
        _plain(chosen.code),
        _plain(chosen.code_output),
    )
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


def _calls_of(candidate: Candidate) -> str | None:
    return encode_calls(candidate.calls).decode() if candidate.calls else None


class JsonWriter:
    """`json`: an object with the structured answer of each candidate, or rows with it as `value`.

    An answer that calls functions has its calls there, as `{"function_calls": [{"name", "args"}]}`.
    """

    def __init__(self, place: Place, answers: StructuredAnswers) -> None:
        self._place, self._answers = place, answers

    def add(self, entry: FormEntry) -> None:
        row, place = entry.row, self._place
        for candidate in entry.answer.candidates:
            if candidate.text is None and not candidate.calls:
                continue
            try:
                data = self._encode(candidate)
            except BrokenAnswerError as error:
                number = _further_number(entry, candidate)
                about = "" if number is None else f"candidate {number}: "
                place.outputs.index.add_failure("json", row.line, row.key, f"{about}{error}")
                continue
            name = place.names.name("json", row.object, ".json", _further_number(entry, candidate))
            if place.names.groups:
                start = encode_row(
                    _row_start(place, row) | {"candidate": candidate.number}
                ).removesuffix(b"}")
                place.outputs.put_row("json", name, start + b',"value":' + data + b"}")
            else:
                place.outputs.put("json", name, data + b"\n", row.line, row.key)

    def _encode(self, candidate: Candidate) -> bytes:
        if candidate.calls:
            return b'{"function_calls":' + encode_calls(candidate.calls) + b"}"
        return self._answers.parse(candidate.text or "")

    def close(self) -> None:
        """Nothing waits here."""
