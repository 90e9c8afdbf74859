"""Translates every known form of a line into one: that of Gemini's own lines, in camelCase.

Gemini writes camelCase and also reads snake_case, and its OpenAI-compatible batches have lines in
OpenAI's form. Rules and forms see only what `unify_row` returns.
"""

from typing import Any

from receiver.answers.openai_lines import is_openai_line, translate_line
from receiver.tolerant_json import as_list, as_object

_NESTED_IN_PARTS = (
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)


def find_key(row: dict[str, Any], member: str = "") -> str | None:
    """The key of a decoded request or result; None when no text is one.

    It is `key`, else `metadata.key`; in OpenAI's form, `custom_id` comes first. A `member`
    (RESULT_KEY) comes before all, in the metadata or beside it. A `custom_id` that a line in
    Gemini's own form echoes is no key.
    """
    metadata = as_object(row.get("metadata"))
    places = [(metadata, member), (row, member)] if member else []
    if is_openai_line(row):
        places.append((row, "custom_id"))
    places += [(row, "key"), (metadata, "key")]
    found = (holder.get(name) for holder, name in places)
    return next((key for key in found if isinstance(key, str)), None)


def unify_row(row: dict[str, Any]) -> dict[str, Any]:
    """The row with `response` and `error` in Gemini's form; unknown shapes stay as they are."""
    unified = translate_line(row) if is_openai_line(row) else row
    response = unified.get("response")
    return (
        unified | {"response": _unify_response(response)} if isinstance(response, dict) else unified
    )


def find_error(row: dict[str, Any]) -> object:
    """The error of a row; None when there is none.

    It may have the form of an HTTP body: `{"error": {...}}`, or a list of that.
    """
    error, response = row.get("error"), as_object(row.get("response"))
    if error is None and not response.keys() - {"error"}:
        error = response.get("error")
    if isinstance(error, list) and error:
        error = error[0]
    inner = as_object(error).get("error")
    return error if inner is None else inner


def _unify_response(response: dict[str, Any]) -> dict[str, Any]:
    unified = camel_case(response)
    replaced: dict[str, Any] = {}
    if isinstance(candidates := unified.get("candidates"), list):
        replaced["candidates"] = [
            _unify_candidate(one) if isinstance(one, dict) else one for one in candidates
        ]
    if "embedding" not in unified and (vectors := as_list(unified.get("embeddings"))):
        replaced["embedding"] = vectors[0]
    if isinstance(usage := unified.get("usageMetadata"), dict):
        replaced["usageMetadata"] = _unify_usage(usage)
    if isinstance(feedback := unified.get("promptFeedback"), dict):
        replaced["promptFeedback"] = camel_case(feedback)
    return unified | replaced


def _unify_candidate(candidate: dict[str, Any]) -> dict[str, Any]:
    unified = camel_case(candidate)
    content = unified.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return unified
    return unified | {"content": {"parts": unify_parts(parts)}}


def unify_parts(parts: list[Any]) -> list[Any]:
    """The parts of a content of an answer or a request."""
    return [_unify_part(part) if isinstance(part, dict) else part for part in parts]


def _unify_part(part: dict[str, Any]) -> dict[str, Any]:
    """Names in the arguments of a call are the user's, and stay as they are."""
    unified = camel_case(part)
    for name in _NESTED_IN_PARTS:
        if (
            isinstance(inner := unified.get(name), dict)
            and (renamed := camel_case(inner)) is not inner
        ):
            unified = unified | {name: renamed}
    return unified


def _unify_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """`usage_metadata` in camelCase, its counts by modality too."""
    unified = camel_case(usage)
    lists = {name: value for name, value in unified.items() if isinstance(value, list)}
    return unified | {
        name: [camel_case(entry) if isinstance(entry, dict) else entry for entry in entries]
        for name, entries in lists.items()
    }


def camel_case(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with camelCase names, without those inside them; a camelCase name wins."""
    if "_" not in "".join(fields):
        return fields
    renamed = {_camel(name): value for name, value in fields.items()}
    return renamed | {name: value for name, value in fields.items() if name in renamed}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others) if first else name
