"""What the forms take from a line: the words, the thoughts, the media and the numbers of its answer."""

import json
from typing import Any, NamedTuple

import msgspec

from workers.rules import BLOCKING_REASONS, answering_candidate


class Answer(NamedTuple):
    """The parts of one answer. Text can hold lone surrogates, which `plain_text` makes writable."""

    text: str | None = None  # all of it together, without thoughts
    thoughts: str | None = None
    media: tuple[dict[str, Any], ...] = ()  # `inlineData` of each part that has some, as it came
    embedding: list[Any] | None = None  # `values` as they came
    finish_reasons: tuple[str, ...] = ()  # of all candidates


NO_ANSWER = Answer()
_BOM = "\ufeff"


def read_answer(line: bytes) -> Answer:
    """The answer that a line of a result file holds; an empty one when there is none. Never raises."""
    try:
        row = msgspec.json.decode(line)
    except (ValueError, RecursionError):  # lone surrogates and NaN are more than it reads
        row = _decode_tolerantly(line)
    response = _object(_object(row).get("response"))
    candidate = answering_candidate(response)
    parts = _parts(candidate)
    spoken = [part for part in parts if part.get("thought") is not True]
    thinking = [part for part in parts if part.get("thought") is True] if candidate else _thoughts_alone(response)
    media = tuple(part["inlineData"] for part in spoken if isinstance(part.get("inlineData"), dict))
    values = _list(_object(response.get("embedding")).get("values"))
    return Answer(_join(spoken), _join(thinking), media, values or None, _finish_reasons(response))


def plain_text(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes its escape, a backslash, `u` and four hex digits."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text


def _decode_tolerantly(line: bytes) -> object:
    try:
        return json.loads(line.decode().removeprefix(_BOM))
    except (ValueError, RecursionError):
        return None


def _thoughts_alone(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The thoughts of an answer that never came, because they took the whole budget."""
    for candidate in _list(response.get("candidates")):
        if isinstance(candidate, dict) and candidate.get("finishReason") not in BLOCKING_REASONS:
            return [part for part in _parts(candidate) if part.get("thought") is True]
    return []


def _finish_reasons(response: dict[str, Any]) -> tuple[str, ...]:
    reasons = (_object(candidate).get("finishReason") for candidate in _list(response.get("candidates")))
    return tuple(plain_text(reason) for reason in reasons if isinstance(reason, str))


def _parts(candidate: dict[str, Any] | None) -> list[dict[str, Any]]:
    parts = _list(_object(_object(candidate).get("content")).get("parts"))
    return [part for part in parts if isinstance(part, dict)]


def _join(parts: list[dict[str, Any]]) -> str | None:
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str)) or None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
