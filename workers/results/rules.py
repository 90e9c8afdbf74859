"""The rules that decide the outcome of a request, for a decoded row of any shape.

Of several candidates, the first one that ended by itself and holds an answer decides. An answer is
a part with visible text that is no thought, or with other content, such as an image or a function
call. Where no candidate has one, a cut at MAX_TOKENS counts first (also of a budget spent on
thoughts), then a refusal, then any other end.
"""

from typing import Any

import msgspec

from receiver.answers.candidates import (
    End,
    candidates_of,
    end_of,
    find_odd,
    holds_answer,
    holds_vector,
)
from receiver.answers.shapes import find_error, find_key, unify_row
from receiver.outputs.outcomes import Outcome
from receiver.tolerant_json import as_object, as_text
from workers.results.usages import Usage, read_usage


class Result(msgspec.Struct, gc=False, frozen=True):
    """What a line says of its request.

    `key` can hold a lone surrogate, which UTF-8 can't: write it with `json.dumps`, which escapes.
    """

    key: str | None  # None: the line carries none, or is no JSON object
    outcome: Outcome
    # "8" or "NOT_FOUND"; "STOP" or "SAFETY"; "utf-8", "json", "nesting" or "shape" when malformed.
    code: str | None = None
    message: str | None = None  # for people; at most MESSAGE_CHARACTERS
    retryable: bool = False  # the same request, sent again, may end better
    usage: Usage | None = None
    model: str | None = None  # that answered, as the line says: an alias has become a name
    billed: bool = True  # False: the request failed, so that Gemini charges nothing for it


# The version of these rules and of those in `workers.results.parser`; it is in every manifest.
# Raise it whenever a line may get another outcome, key, code, message or usage than before:
# `verify` then reports differences as notes.
RULES = 2
MESSAGE_CHARACTERS = 2000
_KNOWN_MEMBERS = frozenset(
    {"candidates", "promptFeedback", "embedding", "embeddings", "usageMetadata", "tokenCount"}
    | {"modelVersion", "responseId", "createTime", "modelStatus"}
)
_REFUSALS = ("RECITATION", "PROHIBITED_CONTENT", "SAFETY", "BLOCKLIST", "SPII")
# google.rpc.Code by number and name, and HTTP statuses. A code in neither set counts as UNKNOWN,
# which is transient.
_TRANSIENT = frozenset(
    {"1", "2", "4", "8", "10", "13", "14", "408", "429", "499", "500", "502", "503", "504"}
    | {
        "CANCELLED",
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "INTERNAL",
        "UNAVAILABLE",
    }
)
_PERMANENT = (
    frozenset({"3", "5", "6", "7", "9", "11", "12", "15", "16", "501"})
    | {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "FAILED_PRECONDITION",
    }
    | {"OUT_OF_RANGE", "UNIMPLEMENTED", "DATA_LOSS", "UNAUTHENTICATED"}
    | {str(status) for status in range(400, 500)} - _TRANSIENT
)


def malformed(
    code: str, message: str | None, *, key: str | None = None, usage: Usage | None = None
) -> Result:
    return Result(key, Outcome.MALFORMED, code, message, retryable=True, usage=usage)


def judge_row(row: dict[str, Any], key_member: str) -> Result:
    """The result that a decoded JSON object stands for; `key_member` is RESULT_KEY, or empty.

    The numbers of the object must be decoded as text (`parse_int=str`).
    """
    key, unified = find_key(row, key_member), unify_row(row)
    result = _judge_content(unified, key)
    response = as_object(unified.get("response"))
    model = as_text(response.get("modelVersion"))
    billed = (
        result.outcome is not Outcome.ERROR
        or "usageMetadata" in response
        or "candidates" in response
    )
    result = msgspec.structs.replace(result, model=model, billed=billed)
    if key is None:
        return msgspec.structs.replace(result, outcome=Outcome.UNKEYED, retryable=False)
    return result


def _judge_content(row: dict[str, Any], key: str | None) -> Result:
    """An error wins over a response.

    A `status` counts only without a response, since lines echo the user's own fields.
    """
    error, response, status = find_error(row), row.get("response"), as_object(row.get("status"))
    if error is not None:
        return _judge_error(error, key)
    if isinstance(response, dict):
        return _judge_response(response, key)
    if response is not None:
        return malformed("shape", "the response is not an object", key=key)
    if (as_text(status.get("code")) or "0") != "0" or as_text(status.get("status")):
        return _judge_error(status, key)
    return malformed("shape", "the object holds neither a response nor an error", key=key)


def _judge_error(error: object, key: str | None) -> Result:
    detail = as_object(error)
    code, status = as_text(detail.get("code")), as_text(detail.get("status"))
    message = as_text(detail.get("message")) if detail else as_text(error)
    retryable = _is_transient(code, status, message)
    return Result(key, Outcome.ERROR, code or status, _shorten(message), retryable)


def _is_transient(code: str | None, status: str | None, message: str | None) -> bool:
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
    candidates = candidates_of(response)
    usage = read_usage(response, holds_answer=any(map(holds_answer, candidates)))
    answering = next(
        (one for one in candidates if end_of(one) is End.CLEAN and holds_answer(one)), None
    )
    if answering is not None or holds_vector(response):
        return Result(key, Outcome.OK, as_text((answering or {}).get("finishReason")), usage=usage)
    return _judge_ends(response, candidates, key, usage) or _judge_silence(
        response, candidates, key, usage
    )


def _judge_ends(
    response: dict[str, Any], candidates: list[dict[str, Any]], key: str | None, usage: Usage | None
) -> Result | None:
    """What a response without an answer says of its end; None when it ended by itself."""
    first = {end_of(candidate): candidate for candidate in reversed(candidates)}
    if End.CUT in first:
        return _end_as(Outcome.TRUNCATED, first[End.CUT], key, usage)
    feedback = as_object(response.get("promptFeedback"))
    if prompt_reason := as_text(feedback.get("blockReason")):
        message = as_text(feedback.get("blockReasonMessage"))
        return Result(key, Outcome.BLOCKED, prompt_reason, _shorten(message), usage=usage)
    if End.BLOCKED in first:
        return _end_as(Outcome.BLOCKED, first[End.BLOCKED], key, usage)
    if End.BROKEN not in first:
        return None
    reason, said = (
        as_text(first[End.BROKEN].get(name)) for name in ("finishReason", "finishMessage")
    )
    message = said or reason or "the finishReason is no text"
    return Result(
        key, Outcome.ERROR, _shorten(reason), _shorten(message), retryable=True, usage=usage
    )


def _judge_silence(
    response: dict[str, Any], candidates: list[dict[str, Any]], key: str | None, usage: Usage | None
) -> Result:
    """An empty answer, unless something is there that is in no known shape."""
    odd = find_odd(response)
    if odd is None and response and _KNOWN_MEMBERS.isdisjoint(response):
        odd = f"the response holds nothing that is known, only {', '.join(response)}"
    if odd is not None:
        return malformed("shape", _shorten(odd), key=key, usage=usage)
    return _end_as(Outcome.EMPTY, candidates[0] if candidates else {}, key, usage)


def _end_as(
    outcome: Outcome, candidate: dict[str, Any], key: str | None, usage: Usage | None
) -> Result:
    """A candidate that is no answer, with what it says of its end."""
    code, message = as_text(candidate.get("finishReason")), as_text(candidate.get("finishMessage"))
    return Result(key, outcome, code, _shorten(message), outcome is Outcome.EMPTY, usage)


def _shorten(message: str | None) -> str | None:
    """A message that is safe to write as UTF-8, and short: the whole line is kept beside it."""
    if message is None:
        return None
    return message[:MESSAGE_CHARACTERS].encode(errors="replace").decode()
