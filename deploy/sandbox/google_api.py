"""Conventions of Google's APIs: error bodies, JSON, both casings, pages, times and ids."""

import functools
import json
import re
import secrets
import string
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

Json = dict[str, Any]

STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
HEADERS = {"vary": "Origin, X-Origin, Referer", "server": "scaffolding on HTTPServer2"}
ID_LETTERS = string.ascii_lowercase + string.digits
INLINE_LIMIT_BYTES = 20 * 1024 * 1024
QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)


class ApiError(Exception):
    """An error as Google's APIs send it: an HTTP status, its gRPC name and a message."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        details: Sequence[Json] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = list(details)
        self.headers = dict(headers or {})

    def answer(self) -> Response:
        error: Json = {
            "code": self.code,
            "message": self.message,
            "status": STATUS_NAMES.get(self.code, "UNKNOWN"),
        }
        if self.details:
            error["details"] = self.details
        return json_answer({"error": error}, status=self.code, headers=self.headers)


def encode_compact(value: Any) -> bytes:
    """JSON without white space, UTF-8. Lone surrogates stay escaped, huge integers whole."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(value, separators=(",", ":")).encode()


def decode(text: bytes) -> Any:
    """JSON as leniently as Python reads it. Raises ValueError, also for too deep nesting."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def json_answer(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Pretty printed with two spaces and sent chunked, as the service does."""
    body = msgspec.json.format(encode_compact(value), indent=2) + b"\n"
    answer = Response(
        body, status, {**HEADERS, **(headers or {})}, media_type="application/json; charset=UTF-8"
    )
    del answer.headers["content-length"]
    return answer


async def read_object(request: Request, *, limit_bytes: int = INLINE_LIMIT_BYTES) -> Json:
    """The request's JSON object; `{}` for an empty body. Raises ApiError 400 for anything else."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise ApiError(
                400,
                f"The request payload exceeds the limit of {limit_bytes} bytes: use an input file.",
            )
    if not body.strip():
        return {}
    try:
        value = decode(bytes(body))
    except ValueError:
        value = _decode_single_quoted(bytes(body))
    if not isinstance(value, dict):
        raise ApiError(400, "Invalid JSON payload received: the root element must be an object.")
    return value


def _decode_single_quoted(body: bytes) -> Any:
    """Read JSON with single quotes, as in the guide's curl samples and accepted by the service."""
    try:
        return json.loads(QUOTED.sub(_with_double_quotes, body.decode()))
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"Invalid JSON payload received: {error}") from error


def _with_double_quotes(match: re.Match[str]) -> str:
    inner = match[1]
    return match[0] if inner is None else '"' + inner.replace("\\'", "'").replace('"', '\\"') + '"'


@functools.lru_cache(maxsize=1024)
def snake(name: str) -> str:
    """`displayName` -> `display_name`."""
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def pick(holder: Any, name: str) -> Any:
    """The member `name` (given in camelCase) in either casing; None if absent or not an object."""
    if not isinstance(holder, dict):
        return None
    value = holder.get(name)
    return holder.get(snake(name)) if value is None else value


def refuse_unknown(holder: Json, names: Sequence[str], where: str) -> None:
    """Raise ApiError 400 if `holder` has a member that is not in `names`, in either casing."""
    known = {*names, *map(snake, names)}
    for name in holder:
        if name not in known:
            raise ApiError(
                400,
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}':"
                " no such field.",
            )


def new_id(length: int = 36) -> str:
    """Lowercase letters and digits, random: receivers remember the names that they have seen."""
    return "".join(secrets.choice(ID_LETTERS) for _ in range(length))


def utc_text(moment_ns: int) -> str:
    """RFC 3339 with nanoseconds."""
    seconds, rest = divmod(moment_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def now_ns() -> int:
    return time.time_ns()


class Numbered(Protocol):
    number: int  # grows with every creation


Item = TypeVar("Item", bound=Numbered)


def page_of(
    items: Sequence[Item], size: str | None, token: str | None, *, limit: int
) -> tuple[list[Item], str | None]:
    """A page, newest first, and the token of the next one. Deletions do not shift later pages."""
    try:
        wanted = int(size) if size else 50
        before = int(token, 36) if token else None
    except ValueError as error:
        raise ApiError(400, "The page size or the page token is not valid.") from error
    if wanted < 0:
        raise ApiError(400, "The page size must not be negative.")
    left = [item for item in items if before is None or item.number < before]
    left.sort(key=lambda item: -item.number)
    page = left[: min(wanted or 50, limit)]
    return page, _base36(page[-1].number) if len(page) < len(left) else None


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = (string.digits + string.ascii_lowercase)[digit] + digits
        if not number:
            return digits
