"""What changes in a request that is sent again, so that it may end better. Pure.

Only what changes is written anew: all other bytes of the line stay. Members have the names that
Gemini reads, in camelCase or in snake_case.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

GROWTH = 2  # how much larger the output budget becomes
# The highest of the lower limits that models have: a smaller budget may be refused.
MIN_THINKING_TOKENS = 512
NOTE = "An earlier answer to this request was refused: "
_HINT = ". Answer the request again, so that the answer fits the response schema."

Fields = dict[str, msgspec.Raw]
T = TypeVar("T")


def widen(line: bytes, max_output_tokens: int) -> bytes | None:
    """Give an answer that was cut at MAX_TOKENS more room; None where nothing can change.

    The output budget is doubled up to `max_output_tokens`. Where there is none that can grow, the
    thinking budget is halved, since thoughts take their tokens from the same output.
    """
    row, request = _open_request(line)
    if row is None:
        return None
    name = _name_of(request, "generationConfig")
    config = _read(request.get(name), Fields)
    if config is None:
        return None
    changed = _grow_output(config, max_output_tokens) or _shrink_thinking(config)
    return None if changed is None else _close(line, row, request | {name: _raw(changed)})


def explain(line: bytes, why: str) -> bytes:
    """Tell the model in one more turn of the user why its answer was refused.

    An earlier turn of this kind is replaced. A line without `contents` stays as it is.
    """
    row, request = _open_request(line)
    turns = _read(request.get("contents"), list[msgspec.Raw])
    if row is None or turns is None:
        return line
    if turns and _is_note(turns[-1]):
        turns.pop()
    turns.append(_raw({"role": "user", "parts": [{"text": f"{NOTE}{why}{_HINT}"}]}))
    return _close(line, row, request | {"contents": _raw(turns)})


def _grow_output(config: Fields, most: int) -> Fields | None:
    name = _name_of(config, "maxOutputTokens")
    tokens = _read(config.get(name), int)
    if tokens is None or not 0 < tokens < most:
        return None
    return config | {name: _raw(min(tokens * GROWTH, most))}


def _shrink_thinking(config: Fields) -> Fields | None:
    name = _name_of(config, "thinkingConfig")
    thinking = _read(config.get(name), Fields)
    if thinking is None:
        return None
    budget_name = _name_of(thinking, "thinkingBudget")
    budget = _read(thinking.get(budget_name), int)
    if budget is None or budget // 2 < MIN_THINKING_TOKENS:
        return None
    return config | {name: _raw(thinking | {budget_name: _raw(budget // 2)})}


def _is_note(turn: msgspec.Raw) -> bool:
    fields = _read(turn, dict[str, Any]) or {}
    match fields.get("parts"):
        case [{"text": str(text)}]:
            return text.startswith(NOTE)
        case _:
            return False


def _open_request(line: bytes) -> tuple[Fields | None, Fields]:
    """The members of a line and of its request; None where it is no line of a request."""
    row = _read(line, Fields)
    request = None if row is None else _read(row.get("request"), Fields)
    return (None, {}) if request is None else (row, request)


def _close(line: bytes, row: Fields, request: Fields) -> bytes:
    ending = b"\n" if line.endswith(b"\n") else b""
    return bytes(_raw(row | {"request": _raw(request)})) + ending


def _read(data: bytes | msgspec.Raw | None, kind: type[T]) -> T | None:
    """JSON as `kind`; None where it is absent or something else."""
    try:
        return None if data is None else msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _name_of(fields: Mapping[str, object], camel: str) -> str:
    """The name that a member has here: in snake_case where only that is there."""
    if camel in fields:
        return camel
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in camel)
    return snake if snake in fields else camel
