"""The candidates of a response in Gemini's own shape: how each ended, and whether it answers."""

import re
from enum import Enum
from typing import Any
from unicodedata import category

from receiver.tolerant_json import as_list, as_object


class End(Enum):
    """How a candidate ended."""

    CLEAN = "clean"  # by itself
    CUT = "cut"  # the token budget was used up
    BLOCKED = "blocked"  # it was refused
    BROKEN = "broken"  # anything else, unknown ends included: no answer, and worth another try


MAX_TOKENS = "MAX_TOKENS"
CLEAN_REASONS = frozenset({"", "STOP", "FINISH_REASON_UNSPECIFIED"})
BLOCKING_REASONS = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
CONTENT_FILTER = "CONTENT_FILTER"  # in OpenAI's form; `content_filter: SAFETY` was seen too
# Members of a part that say something about it, and are no content themselves.
NO_CONTENT = frozenset(
    {
        "text",
        "thought",
        "thoughtSignature",
        "partMetadata",
        "videoMetadata",
        "mediaResolution",
        "mediaProcessing",
    }
    | {"speechMetadata", "documentMetadata", "spreadsheetMetadata", "audioMetadata"}
)
_starts_with_number = re.compile(r"-?[0-9]").match
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})  # categories of Unicode that leave no mark


def end_of(candidate: dict[str, Any]) -> End:
    """Only STOP and an absent reason are a clean end, whatever parts there are."""
    reason = candidate.get("finishReason")
    if reason is None:
        return End.CLEAN
    if not isinstance(reason, str):
        return End.BROKEN
    name = reason.upper()  # the SDK compares without case
    if name in CLEAN_REASONS:
        return End.CLEAN
    if name == MAX_TOKENS:
        return End.CUT
    return (
        End.BLOCKED if name in BLOCKING_REASONS or name.startswith(CONTENT_FILTER) else End.BROKEN
    )


def candidates_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates that are objects."""
    return [item for item in as_list(response.get("candidates")) if isinstance(item, dict)]


def parts_of(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts that are objects."""
    return [
        part
        for part in as_list(as_object(candidate.get("content")).get("parts"))
        if isinstance(part, dict)
    ]


def holds_answer(candidate: dict[str, Any]) -> bool:
    """Whether any part is an answer: visible text but no thought, or content such as an image."""
    return any(_is_answer(part) for part in parts_of(candidate))


def _is_answer(part: dict[str, Any]) -> bool:
    if part.get("thought") is True:
        return False
    text = part.get("text")
    if text is not None and not (isinstance(text, str) and is_unseen(text)):
        return True
    return any(
        _holds_content(name, value) for name, value in part.items() if name not in NO_CONTENT
    )


def _holds_content(name: str, value: object) -> bool:
    """Whether a member of a part holds anything; an image without data does not."""
    return bool(as_object(value).get("data")) if name == "inlineData" else value is not None


def holds_vector(response: dict[str, Any]) -> bool:
    """Whether there is an embedding of numbers; they may have been decoded as text."""
    values = as_list(as_object(response.get("embedding")).get("values"))
    return bool(values) and _is_number(values[0])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, str) and _starts_with_number(value) is not None
    )


def is_unseen(text: str) -> bool:
    """Whether a text has only white space, control and format characters of any script."""
    return not text.strip() or all(category(character) in _UNSEEN for character in text)


def find_odd(response: dict[str, Any]) -> str | None:
    """What in the response has no known shape; None when everything has."""
    for name in ("promptFeedback", "embedding"):
        if not isinstance(response.get(name), dict | None):
            return f"{name} is no object"
    if not isinstance(response.get("embeddings"), list | None):
        return "embeddings is no list"
    if as_object(response.get("embedding")).get("values"):  # and `holds_vector` says no
        return "the embedding holds no numbers"
    return _find_odd_candidate(response.get("candidates"))


def _find_odd_candidate(candidates: object) -> str | None:
    if not isinstance(candidates, list | None):
        return "candidates is no list"
    for number, candidate in enumerate(candidates or ()):
        place = f"candidates[{number}]"
        if not isinstance(candidate, dict):
            return f"{place} is no object"
        content = candidate.get("content")
        if not isinstance(content, dict | None):
            return f"{place}.content is no object"
        parts = as_object(content).get("parts")
        if not isinstance(parts, list | None):
            return f"{place}.content.parts is no list"
        if not all(isinstance(part, dict) for part in parts or ()):
            return f"a part of {place} is no object"
    return None
