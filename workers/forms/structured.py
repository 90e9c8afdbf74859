"""Structured answers: JSON that came as text, checked against a schema."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from receiver.answers.large_lines import MAX_VALUES, find_excess
from receiver.errors import BrokenAnswerError

_encode = msgspec.json.Encoder(decimal_format="number").encode


def encode_calls(calls: Iterable[dict[str, Any]]) -> bytes:
    """`functionCall` parts as a JSON list of `{"name", "args"}`.

    In ASCII where they hold what UTF-8 can't. Decimals keep their digits.
    """
    rows = [{"name": call.get("name"), "args": call.get("args")} for call in calls]
    try:
        return _encode(rows)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(rows, default=float, separators=(",", ":")).encode()


class StructuredAnswers:
    """Checks answers with the validator of `receiver.settings.response_schemas`, if any."""

    def __init__(self, validator: Any | None) -> None:
        self._validator = validator

    def parse(self, text: str) -> bytes:
        """The compact JSON of an answer, numbers as written. Raises BrokenAnswerError."""
        try:
            data = text.encode()
            if find_excess(data):
                words = f"an answer of {len(data)} bytes with over {MAX_VALUES} values"
                raise BrokenAnswerError(f"{words} is not read")
            value = json.loads(text, parse_constant=_refuse_constant)
            compact = msgspec.json.format(data, indent=-1)
        except (UnicodeEncodeError, msgspec.DecodeError) as error:  # lone surrogates, also escaped
            raise BrokenAnswerError("the answer holds what UTF-8 can't") from error
        except json.JSONDecodeError as error:
            raise BrokenAnswerError(
                f"the answer is not JSON: {error.msg} at character {error.pos}"
            ) from error
        except RecursionError as error:
            raise BrokenAnswerError("the answer is nested too deeply to be read") from error
        except ValueError as error:  # NaN, and numbers of thousands of digits
            raise BrokenAnswerError(f"the answer is not JSON: {error}") from error
        if self._validator is not None:
            self._check(value)
        return compact

    def _check(self, value: object) -> None:
        try:
            error = next(self._validator.iter_errors(value), None) if self._validator else None
        except RecursionError as recursion:
            raise BrokenAnswerError("the answer is nested too deeply to be checked") from recursion
        if error is not None:
            raise BrokenAnswerError(
                f"the answer breaks the schema at {error.json_path}: {error.message}"
            )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
