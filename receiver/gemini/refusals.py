"""Reads what Gemini says when it refuses a call: the API's own words, and what to do."""

from typing import Any

import msgspec

from receiver.errors import DownloadError, GeminiError, NotFoundError, on_one_line
from receiver.http import httpx, retry_after_s

KEY_HEADER = "x-goog-api-key"
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
NOT_OF_GEMINI = frozenset({402, 407})  # of billing or of a proxy
KEY_SIGNS = (
    "API key",
    "has not been used in project",
    "is disabled",
    "has been suspended",
    "leaked",
)
GONE: dict[int | None, str] = {
    httpx.codes.FORBIDDEN: (
        "the result file can't be read any more with this key: expired, or of another project"
    ),
    httpx.codes.NOT_FOUND: "the result file has expired or was deleted",
    httpx.codes.GONE: "the result file has expired or was deleted",
}


def read_error_body(body: bytes) -> dict[str, Any]:
    """The error object in the body of an answer; empty if there is none."""
    try:
        error = msgspec.json.decode(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):  # msgspec's errors are ValueErrors
        return {}
    return error if isinstance(error, dict) else {}


def _explain(status: int, body: bytes) -> str:
    """The API's own message on an error, or the status alone."""
    error = read_error_body(body)
    if not error:
        return f"{status} {httpx.codes.get_reason_phrase(status)}"
    return on_one_line(f"{status} {error.get('status', '')}: {error.get('message', '')}"[:500])


def said_under_200(body: bytes, key: str) -> str:
    """The message of an error in the body of a 200 answer; "" if there is none."""
    error = read_error_body(body)
    if "message" not in error:
        return ""
    kind = error.get("status") or error.get("code") or ""
    return hide_key(on_one_line(f"{kind}: {error['message']}"[:500]), key)


def hide_key(text: str, key: str) -> str:
    """Google repeats the API key in messages like "Consumer 'api_key:…' has been suspended"."""
    return text.replace(key, "[API key]") if key else text


def blames_key(said: str) -> bool:
    """Whether a refusal is about the key or its project, not about what was asked for."""
    return any(sign in said for sign in KEY_SIGNS)


def read_error(response: httpx.Response, what: str) -> GeminiError:
    """The error of a refused call. The response needs its request, and a body that was read."""
    status, key = response.status_code, response.request.headers.get(KEY_HEADER, "")
    said = hide_key(_explain(status, response.content), key)
    if status == httpx.codes.NOT_FOUND:
        return NotFoundError(
            f"Gemini knows no {what} for this API key ({said})", status=status, fault="refused"
        )
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) or blames_key(said):
        hint = (
            "check that GEMINI_API_KEY is right and of the project that made the batch"
            " (a named one has its own)"
        )
        return GeminiError(f"Gemini refused {what} ({said}): {hint}", status=status, retryable=True)
    is_passing = status in RETRYABLE_STATUS or status >= httpx.codes.INTERNAL_SERVER_ERROR
    return GeminiError(
        f"Gemini did not give {what} ({said})",
        status=status,
        retryable=is_passing,
        retry_after_s=retry_after_s(response.headers),
        fault="outside" if is_passing or status in NOT_OF_GEMINI else "refused",
    )


def read_file_error(response: httpx.Response, name: str) -> GeminiError:
    """The same for a result file, for which a 403 may mean expired, unless it blames the key."""
    error = read_error(response, name)
    if error.status not in GONE or (
        error.status == httpx.codes.FORBIDDEN and blames_key(str(error))
    ):
        return error
    return DownloadError(f"{error}; {GONE[error.status]}", status=error.status, fault="refused")
