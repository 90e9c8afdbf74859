"""Lines of OpenAI-compatible batches, translated into the shape of Gemini's own lines.

Such a line holds an HTTP response: `{"id", "custom_id", "response": {"status_code", "request_id",
"body"}, "error"}`. The body is a chat completion (`choices`), a list of embeddings (`data`) or an
error. Source: OpenAI's reference of the Batch API, and the recorded output of Google's
OpenAI-compatibility notebook.
"""

from array import array
from base64 import b64decode
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec

from receiver.answers.candidates import holds_answer
from receiver.tolerant_json import as_list, as_object, as_text

_ENVELOPE = frozenset({"status_code", "statusCode", "body"})
_GEMINI = frozenset({"candidates", "promptFeedback", "prompt_feedback", "embedding", "embeddings"})
_CLEAN_ENDS = frozenset({"stop", "tool_calls", "function_call"})
_INT32_MAX = 2**31 - 1
_MAX_ARGUMENTS = 1024 * 1024  # characters; their values take tens of megabytes at most
_SUCCESSES = range(200, 300)
# What a message says of itself; any other member that holds something is content.
_NO_CONTENT = frozenset(
    {"role", "name", "content", "tool_calls", "function_call", "refusal", "annotations"}
)
_NO_CONTENT_EITHER = frozenset({"reasoning_content", "reasoning", "extra_content"})
_decode_arguments = msgspec.json.Decoder(float_hook=Decimal).decode


def is_openai_line(row: dict[str, Any]) -> bool:
    """Whether a decoded request or result is in OpenAI's form.

    A `custom_id` alone is no sign of that: Gemini echoes one.
    """
    response = row.get("response")
    if isinstance(response, dict):
        return not _ENVELOPE.isdisjoint(response) and _GEMINI.isdisjoint(response)
    if "custom_id" not in row or response is not None:
        return False
    if isinstance(row.get("body"), dict):
        return "request" not in row  # a line of an input
    error = row.get("error")
    if error is None or "key" in row:
        return False
    code = as_object(error).get("code")  # Gemini's codes are numbers
    return "response" in row or (isinstance(code, str) and _number(code) is None)


def translate_line(row: dict[str, Any]) -> dict[str, Any]:
    """`response` or `error` of a result line as Gemini would write them."""
    error, answer = row.get("error"), as_object(row.get("response"))
    if error:
        return {"error": _translate_error(error, None)}
    status, body = answer.get("status_code", answer.get("statusCode")), answer.get("body")
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0]  # Gemini wraps the errors of this interface in a list
    error = as_object(body).get("error")
    if error or not (status is None or _number(status) in _SUCCESSES):
        return {"error": _translate_error(error or body, status)}
    return {"response": _translate_body(body) if isinstance(body, dict) else body}


def _number(value: object) -> int | None:
    """A whole number from 0 on; decoders may return numbers as the text that was written."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value <= _INT32_MAX else None
    if not isinstance(value, str) or len(value) > len(str(_INT32_MAX)):
        return None
    return int(value) if value.isascii() and value.isdigit() else None


def _translate_error(error: object, status: object) -> dict[str, Any]:
    """The error's own code with the HTTP status, or the one of them that is known."""
    detail = as_object(error)
    code = _as_code(detail.get("code"))
    http_code = None if _number(status) in _SUCCESSES else _as_code(status)
    message = detail.get("message") or (error if isinstance(error, str) else None)
    name = detail.get("status") or detail.get("type")
    if code is None:
        return {"code": http_code, "status": name, "message": message}
    explained = name if http_code in (None, code) else http_code
    return {"code": code, "status": explained, "message": message}


def _as_code(value: object) -> str | None:
    number = _number(value)
    return str(number) if number is not None else as_text(value)


def _translate_body(body: dict[str, Any]) -> dict[str, Any]:
    """The response of Gemini that says the same; a body without choices and data stays as it is."""
    choices, data = body.get("choices"), body.get("data")
    model = {"modelVersion": body.get("model")}
    if isinstance(choices, list):
        candidates = [
            _translate_choice(choice) if isinstance(choice, dict) else choice for choice in choices
        ]
        return model | {
            "candidates": candidates,
            "usageMetadata": translate_usage(body.get("usage")),
        }
    if isinstance(data, list):
        vectors = [_vector(as_object(entry).get("embedding")) for entry in data]
        if vectors and all(vectors):
            prompt = as_object(translate_usage(body.get("usage"))).get("promptTokenCount")
            return model | {
                "embeddings": [{"values": vector} for vector in vectors],
                "tokenCount": prompt,
            }
    return body


def _vector(embedding: object) -> list[Any]:
    """The numbers of an embedding; in base64 (`encoding_format`), they are floats of four bytes."""
    if isinstance(embedding, list):
        return embedding
    if not isinstance(embedding, str):
        return []
    try:
        return array("f", b64decode(embedding, validate=True)).tolist()
    except ValueError:
        return []


def _translate_choice(choice: dict[str, Any]) -> dict[str, Any]:
    reason = choice.get("finish_reason", choice.get("finishReason"))
    message = choice.get("message")
    if message is None and "text" in choice:
        message = {"content": choice["text"]}  # of a completion without chat
    candidate: dict[str, Any] = {
        "finishReason": _translate_reason(reason),
        "index": choice.get("index"),
    }
    if not isinstance(message, dict):
        return candidate | {"content": message}
    parts = _translate_message(message)
    candidate["content"] = {"parts": parts}
    if (
        isinstance(refusal := message.get("refusal"), str)
        and refusal
        and not holds_answer(candidate)
    ):
        return candidate | {"finishReason": "content_filter", "finishMessage": refusal}
    return candidate


def _translate_reason(reason: object) -> object:
    if isinstance(reason, str) and reason in _CLEAN_ENDS:
        return "STOP"
    return "MAX_TOKENS" if reason == "length" else reason


def _translate_message(message: dict[str, Any]) -> list[Any]:
    thoughts = [
        message[name]
        for name in ("reasoning_content", "reasoning")
        if isinstance(message.get(name), str)
    ]
    parts: list[Any] = [{"text": thought, "thought": True} for thought in thoughts]
    content = message.get("content")
    if isinstance(content, list):
        parts += [_translate_part(part) for part in content]
    elif content is not None:
        parts.append({"text": content})
    parts += [
        _translate_call(as_object(call).get("function") or call)
        for call in as_list(message.get("tool_calls"))
    ]
    if message.get("function_call"):
        parts.append(_translate_call(message["function_call"]))
    unknown = message.keys() - _NO_CONTENT - _NO_CONTENT_EITHER
    return parts + [{name: message[name]} for name in sorted(unknown) if message[name]]


def _translate_part(part: object) -> object:
    """A part of a message: text, an image as a data URL, or something that stays as it is."""
    fields = as_object(part)
    if fields.get("type") == "text":
        return {"text": fields.get("text")}
    url = as_object(fields.get("image_url")).get("url")
    if isinstance(url, str) and url.startswith("data:") and ";base64," in url:
        mime_type, _, data = url.removeprefix("data:").partition(";base64,")
        return {"inlineData": {"mimeType": mime_type, "data": data}}
    kind = fields.get("type")
    return {kind: fields.get(kind, True)} if isinstance(kind, str) else part


def _translate_call(function: object) -> dict[str, Any]:
    """A call; its arguments are JSON in text, or stay text where they can't be decoded."""
    fields = as_object(function)
    arguments = fields.get("arguments")
    if isinstance(arguments, str) and len(arguments) <= _MAX_ARGUMENTS:
        with suppress(ValueError, RecursionError):  # msgspec's errors are ValueErrors
            arguments = _decode_arguments(arguments)
    return {"functionCall": {"name": fields.get("name"), "args": arguments}}


def translate_usage(usage: object) -> dict[str, str] | None:
    """OpenAI's `usage` as `usageMetadata`, its counts as text; what it does not say is left out.

    Gemini counts thoughts apart from the completion, and in the total. Where `reasoning_tokens` are
    part of the completion, as OpenAI counts them, the total shows it.
    """
    if not isinstance(usage, dict):
        return None
    prompt = _count(usage, "prompt_tokens", "promptTokens")
    completion = _count(usage, "completion_tokens", "completionTokens")
    total = _count(usage, "total_tokens", "totalTokens")
    answer_details = usage.get("completion_tokens_details", usage.get("completionTokensDetails"))
    prompt_details = usage.get("prompt_tokens_details", usage.get("promptTokensDetails"))
    thoughts = _count(as_object(answer_details), "reasoning_tokens", "reasoningTokens")
    cached = _count(as_object(prompt_details), "cached_tokens", "cachedTokens")

    if prompt is not None and completion is not None and total is not None:
        if thoughts is None and total > prompt + completion:
            thoughts = total - prompt - completion
        elif thoughts and thoughts <= completion and total == prompt + completion:
            completion -= thoughts

    counts = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": completion,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": total,
    }
    return {name: str(count) for name, count in counts.items() if count is not None}


def _count(fields: dict[str, Any], *names: str) -> int | None:
    """The first of these counts that is one."""
    found = (_number(fields.get(name)) for name in names)
    return next((count for count in found if count is not None), None)
