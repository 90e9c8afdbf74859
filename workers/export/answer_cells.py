"""What a row of an export says of its answer: the answer's cells, and the facts about it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from receiver.answers.answer import plain_text, read_answer
from receiver.answers.large_lines import LARGE_LINE_BYTES
from receiver.answers.reasons import Reason
from receiver.outputs.error_codes import describe_code
from receiver.outputs.outcomes import ANSWERED, Outcome
from receiver.submissions.proof import MISSING, AnswerRow
from workers.export.columns import INVALID, AnswerColumns, WrongAnswerError
from workers.export.joined_rows import JoinedRow
from workers.forms.table import read_embedding
from workers.results.line_cost import LineCost
from workers.results.rules import Result
from workers.results.usages import Usage
from workers.results.utf8 import is_utf8

Parse = Callable[..., Result]  # see `workers.results.parser.line_parser`
WHY = {
    MISSING: "no batch has an answer",
    Outcome.TRUNCATED: "the answer was cut at its token limit",
    Outcome.EMPTY: "the answer is empty",
}


class AnswerCells(NamedTuple):
    """One row, but for what the input has."""

    outcome: str
    cells: list[Any]  # by AnswerColumns.kinds


class _Text(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    text: str


class _Content(msgspec.Struct, gc=False):
    parts: tuple[_Text]


class _Candidate(msgspec.Struct, gc=False):
    content: _Content


class _Response(msgspec.Struct, gc=False, rename="camel"):
    candidates: tuple[_Candidate]
    usage_metadata: Usage
    model_version: str


class _Line(msgspec.Struct, gc=False):
    response: _Response


_decode_plain = msgspec.json.Decoder(_Line).decode
_OK = Outcome.OK


def _read_plain(line: bytes) -> tuple[str, Result] | None:
    """Text and counts of an answer, decoded once; most have one candidate with one part of text.

    None where it may be another one.
    """
    if len(line) > LARGE_LINE_BYTES or not is_utf8(line):
        return None
    try:
        response = _decode_plain(line).response
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    usage = response.usage_metadata
    if usage.prompt is None:
        return None
    text = response.candidates[0].content.parts[0].text
    return text, Result(None, _OK, usage=usage, model=response.model_version)


def missing_cells(columns: AnswerColumns, row: AnswerRow) -> AnswerCells:
    """Those of a request that no line answered."""
    return _without_answer(columns, row, row.outcome, WHY.get(row.outcome))


def read_cells(
    columns: AnswerColumns, joined: JoinedRow, line: bytes, parse: Parse, cost_of: LineCost
) -> AnswerCells:
    """Those of a row with a line. One that shares a paid answer has neither cost nor tokens."""
    row = joined.answer
    plain = _read_plain(line) if row.outcome == _OK else None
    text, result = plain or (None, parse(line, valid_utf8=False))
    cost = tokens = None
    if not joined.is_copy:
        cost, tokens = cost_of(result), result.usage.total if result.usage else None
    if row.outcome not in ANSWERED:
        why = _explain(row.outcome, result)
        return _without_answer(columns, row, row.outcome, why, cost, tokens)
    try:
        answer = _read_answer(columns, line, text)
    except WrongAnswerError as error:
        return _without_answer(columns, row, INVALID, str(error), cost, tokens)
    answer += (row.outcome, None, cost, tokens, row.batch)
    return AnswerCells(row.outcome, answer)


def _read_answer(columns: AnswerColumns, line: bytes, text: str | None) -> list[Any]:
    """`text` is that of a plain answer, if it is one. Raises WrongAnswerError."""
    if columns.columns[0].kind == "vector":
        return [read_embedding(read_answer(line).embedding)]
    if text is None:
        found = read_answer(line).text
        if found is None and columns.is_structured:
            raise WrongAnswerError("the answer has no text")
        if found is None:
            return [None]
        text = plain_text(found)
    return columns.split_text(text)


def _without_answer(  # noqa: PLR0913, PLR0917 - the facts of a row
    columns: AnswerColumns,
    row: AnswerRow,
    outcome: str,
    why: str | None,
    cost: Decimal | None = None,
    tokens: int | None = None,
) -> AnswerCells:
    nothing = [None] * len(columns.columns)
    return AnswerCells(outcome, [*nothing, outcome, why, cost, tokens, row.batch])


def failed_cells(columns: AnswerColumns, joined: JoinedRow, reason: Reason) -> AnswerCells:
    """Those of a row whose line lies in `_errors.jsonl`; Gemini bills no error."""
    cost = Decimal(0) if joined.answer.outcome == Outcome.ERROR and not joined.is_copy else None
    why = _join(joined.answer.outcome, reason.code, reason.message)
    return _without_answer(columns, joined.answer, joined.answer.outcome, why, cost)


def _explain(outcome: str, result: Result) -> str:
    return WHY.get(outcome) or _join(outcome, result.code, result.message)


def _join(outcome: str, code: str | None, message: str | None) -> str:
    said = ": ".join(part for part in (describe_code(code), message) if part)
    return said or outcome
