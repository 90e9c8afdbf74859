"""What a row of an export says of its answer: the answer's cells, and the facts about it."""

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from receiver.outputs.error_codes import describe_code
from receiver.outputs.outcomes import ANSWERED, Outcome
from receiver.submissions.proof import MISSING, AnswerRow
from workers.export.columns import INVALID, AnswerColumns, WrongAnswerError
from workers.forms.answers import plain_text, read_answer
from workers.forms.table import read_embedding
from workers.results.rules import Result
from workers.store.failures import Reason

WHY = {
    MISSING: "no batch has an answer",
    Outcome.TRUNCATED: "the answer was cut at its token limit",
    Outcome.EMPTY: "the answer is empty",
}


class AnswerCells(NamedTuple):
    """One row, but for what the input has."""

    answer: list[Any]  # by AnswerColumns.columns
    outcome: str
    error: str | None
    cost: Decimal | None
    tokens: int | None
    batch: str | None

    @property
    def cells(self) -> list[Any]:
        """By AnswerColumns.kinds."""
        return [*self.answer, self.outcome, self.error, self.cost, self.tokens, self.batch]


class _Text(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    text: str


class _Content(msgspec.Struct, gc=False):
    parts: tuple[_Text]


class _Candidate(msgspec.Struct, gc=False):
    content: _Content


class _Response(msgspec.Struct, gc=False):
    candidates: tuple[_Candidate]


class _Line(msgspec.Struct, gc=False):
    response: _Response


_decode_plain = msgspec.json.Decoder(_Line).decode


def read_text(line: bytes) -> str | None:
    """The text of an answer; most have one candidate with one part of text."""
    try:
        return _decode_plain(line).response.candidates[0].content.parts[0].text
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        text = read_answer(line).text
        return None if text is None else plain_text(text)


def missing_cells(columns: AnswerColumns, row: AnswerRow) -> AnswerCells:
    """Those of a request that no line answered."""
    return AnswerCells(
        [None] * len(columns.columns), row.outcome, WHY.get(row.outcome), None, None, row.batch
    )


def read_cells(
    columns: AnswerColumns,
    row: AnswerRow,
    line: bytes,
    result: Result,
    cost: Decimal | None,
) -> AnswerCells:
    """Those of a row with a line, which `result` and `cost` were read from."""
    tokens = result.usage.total if result.usage else None
    nothing = [None] * len(columns.columns)
    if row.outcome not in ANSWERED:
        why = _explain(row.outcome, result)
        return AnswerCells(nothing, row.outcome, why, cost, tokens, row.batch)
    try:
        answer = _read_answer(columns, line)
    except WrongAnswerError as error:
        return AnswerCells(nothing, INVALID, str(error), cost, tokens, row.batch)
    return AnswerCells(answer, row.outcome, None, cost, tokens, row.batch)


def _read_answer(columns: AnswerColumns, line: bytes) -> list[Any]:
    first = columns.columns[0]
    if first.kind == "vector":
        return [read_embedding(read_answer(line).embedding)]
    text = read_text(line)
    if text is None:
        if columns.is_structured:
            raise WrongAnswerError("the answer has no text")
        return [None]
    return columns.split_text(text)


def failed_cells(columns: AnswerColumns, row: AnswerRow, reason: Reason) -> AnswerCells:
    """Those of a row whose line lies in `_errors.jsonl`; Gemini bills no error."""
    cost = Decimal(0) if row.outcome == Outcome.ERROR else None
    why = _join(row.outcome, reason.code, reason.message)
    return AnswerCells([None] * len(columns.columns), row.outcome, why, cost, None, row.batch)


def _explain(outcome: str, result: Result) -> str:
    return WHY.get(outcome) or _join(outcome, result.code, result.message)


def _join(outcome: str, code: str | None, message: str | None) -> str:
    said = ": ".join(part for part in (describe_code(code), message) if part)
    return said or outcome
