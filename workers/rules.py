"""What became of a request: every rule, on a decoded row of any shape.

A row with candidates: the first one that holds an answer and was not blocked decides. An answer is a part with text
that is no thought, or a part with other content, such as an image or a function call. Where no candidate has one, a cut
at MAX_TOKENS counts before a refusal: a budget spent on thoughts is truncated too.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from receiver.outcomes import Outcome
from workers.usages import Usage, read_usage


class Result(msgspec.Struct, gc=False, frozen=True):
    """`key` can hold what UTF-8 can't, a lone surrogate: write it with `json.dumps`, which escapes it."""

    key: str | None  # None: the line carries none, or is no JSON object
    outcome: Outcome
    code: str | None = (
        None  # "8" or "NOT_FOUND"; "STOP" or "SAFETY"; "utf-8", "json", "nesting", "shape" when malformed
    )
    message: str | None = None  # for people; at most MESSAGE_CHARACTERS
    retryable: bool = False  # the same request, sent again, may end better
    usage: Usage | None = None
    model: str | None = None  # that answered, as the line says: an alias has become a name
    billed: bool = True  # False: the request failed, and Gemini charges nothing for it


MESSAGE_CHARACTERS = 2000
MAX_TOKENS = "MAX_TOKENS"
BLOCKING_REASONS = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
_REFUSALS = ("RECITATION", "PROHIBITED_CONTENT", "SAFETY", "BLOCKLIST", "SPII")
_NO_CONTENT = frozenset({"text", "thought", "thoughtSignature", "partMetadata", "videoMetadata", "mediaResolution"})
# google.rpc.Code by number and name, and HTTP statuses; a code in neither set counts as UNKNOWN, which is transient.
_TRANSIENT = frozenset(
    {"1", "2", "4", "8", "10", "13", "14", "408", "429", "499", "500", "502", "503", "504"}
    | {"CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNAVAILABLE"}
)
_PERMANENT = (
    frozenset({"3", "5", "6", "7", "9", "11", "12", "15", "16", "501"})
    | {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "FAILED_PRECONDITION"}
    | {"OUT_OF_RANGE", "UNIMPLEMENTED", "DATA_LOSS", "UNAUTHENTICATED"}
    | {str(status) for status in range(400, 500)} - _TRANSIENT
)


def malformed(code: str, message: str, *, key: str | None = None) -> Result:
    return Result(key, Outcome.MALFORMED, code, message, retryable=True)


def find_key(row: dict[str, Any]) -> str | None:
    """The key of a decoded request or result: its own, else that of its metadata; None when there is none in text."""
    key = _text(row.get("key"))
    return _text(_object(row.get("metadata")).get("key")) if key is None else key


def judge_row(row: dict[str, Any]) -> Result:
    """The result that a decoded JSON object stands for; its numbers must be decoded as text (`parse_int=str`)."""
    key = find_key(row)
    result = _judge_content(row, key)
    response = _object(row.get("response"))
    model = _text(response.get("modelVersion"))
    billed = result.outcome is not Outcome.ERROR or "usageMetadata" in response or "candidates" in response
    result = msgspec.structs.replace(result, model=model, billed=billed)
    if key is None:
        return msgspec.structs.replace(result, outcome=Outcome.UNKEYED, retryable=False)
    return result


def _judge_content(row: dict[str, Any], key: str | None) -> Result:
    """An error wins over a response; a `status` counts only without one, since lines echo the user's own fields."""
    error, response, status = row.get("error"), row.get("response"), _object(row.get("status"))
    if error is not None:
        return _judge_error(error, key)
    if isinstance(response, dict):
        return _judge_response(response, key)
    if response is not None:
        return malformed("shape", "the response is not an object", key=key)
    if (_text(status.get("code")) or "0") != "0" or _text(status.get("status")):
        return _judge_error(status, key)
    return malformed("shape", "the object holds neither a response nor an error", key=key)


def _judge_error(error: object, key: str | None) -> Result:
    detail = _object(error)
    code, status = _text(detail.get("code")), _text(detail.get("status"))
    message = _text(detail.get("message")) if detail else _text(error)
    retryable = _is_transient(code, status, message or "")
    return Result(key, Outcome.ERROR, code or status, _shorten(message), retryable)


def _is_transient(code: str | None, status: str | None, message: str) -> bool:
    words = f"{code} {status} {message}".upper()
    if any(refusal in words for refusal in _REFUSALS):
        return False
    for name in (code, status):
        if name in _TRANSIENT:
            return True
        if name in _PERMANENT:
            return False
    return True


def _judge_response(response: dict[str, Any], key: str | None) -> Result:
    usage = read_usage(response, holds_answer=any(map(_holds_answer, _candidates(response))))
    answering = answering_candidate(response)
    if answering is not None:
        reason = _text(answering.get("finishReason"))
        return Result(key, answer_outcome(reason), reason, usage=usage)
    candidates = _candidates(response)
    reasons = [_text(candidate.get("finishReason")) for candidate in candidates]
    if _list(_object(response.get("embedding")).get("values")):
        return Result(key, Outcome.OK, usage=usage)
    if MAX_TOKENS in reasons:
        return Result(key, Outcome.TRUNCATED, MAX_TOKENS, usage=usage)
    feedback = _object(response.get("promptFeedback"))
    if prompt_reason := _text(feedback.get("blockReason")):
        message = _text(feedback.get("blockReasonMessage"))
        return Result(key, Outcome.BLOCKED, prompt_reason, _shorten(message), usage=usage)
    for candidate, reason in zip(candidates, reasons, strict=True):
        if reason in BLOCKING_REASONS:
            message = _text(candidate.get("finishMessage"))
            return Result(key, Outcome.BLOCKED, reason, _shorten(message), usage=usage)
    return Result(key, Outcome.EMPTY, next(iter(reasons), None), retryable=True, usage=usage)


def answering_candidate(response: dict[str, Any]) -> dict[str, Any] | None:
    """The first candidate that holds an answer and was not blocked."""
    for candidate in _candidates(response):
        if _text(candidate.get("finishReason")) not in BLOCKING_REASONS and _holds_answer(candidate):
            return candidate
    return None


def _candidates(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in _list(response.get("candidates")) if isinstance(item, dict)]


def answer_outcome(finish_reason: str | None) -> Outcome:
    """What an answer is worth that was not blocked; unknown reasons to finish don't devalue it."""
    return Outcome.TRUNCATED if finish_reason == MAX_TOKENS else Outcome.OK


def _holds_answer(candidate: dict[str, Any]) -> bool:
    parts: Iterable[Any] = _list(_object(candidate.get("content")).get("parts"))
    return any(_is_answer(part) for part in parts if isinstance(part, dict))


def _is_answer(part: dict[str, Any]) -> bool:
    if part.get("thought") is True:
        return False
    if part.get("text") not in (None, ""):
        return True
    return any(value is not None for name, value in part.items() if name not in _NO_CONTENT)


def _shorten(message: str | None) -> str | None:
    """A message that is safe to write as UTF-8, and short: the whole line is kept beside it."""
    if message is None:
        return None
    return message[:MESSAGE_CHARACTERS].encode(errors="replace").decode()


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
