"""How Gemini's API is called: one origin, one key, bounded answers, errors in words.

The key travels to the configured origin alone: redirects elsewhere are refused.
"""

import functools
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from receiver.errors import AnswerTooLargeError, DownloadError, GeminiError, NotFoundError

KEY_HEADER = "x-goog-api-key"
MAX_ANSWER_BYTES = 256 * 1024 * 1024  # inlined responses come twice in one answer
ANSWER_DEADLINE_S = 120.0
MAX_REDIRECTS = 3
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
NOT_OF_GEMINI = frozenset({402, 407})  # a bill or a proxy stands between
KEY_SIGNS = (
    "API key",
    "has not been used in project",
    "is disabled",
    "has been suspended",
    "leaked",
)
GONE: dict[int | None, str] = {
    httpx.codes.FORBIDDEN: "the result file can't be read any more with this key: expired, or of another project",
    httpx.codes.NOT_FOUND: "the result file has expired or was deleted",
    httpx.codes.GONE: "the result file has expired or was deleted",
}
MAX_REFUSAL_BYTES = 64 * 1024
MAX_RETRY_AFTER_S = 3600.0
USUAL = httpx.Timeout(30, connect=10)
SLOW = httpx.Timeout(120, connect=10)  # for a chunk of an upload
UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
)  # there was no connection to send it over
T = TypeVar("T")
Trace = Callable[[str, Mapping[str, Any]], None]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After` header, which may also be a date; nonsense gives None."""
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        left_s = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(left_s, 0.0), MAX_RETRY_AFTER_S)


def _explain(status: int, body: bytes) -> str:
    """The API's own words on an error, or nothing where it gave none."""
    try:
        error = msgspec.json.decode(body)["error"]
        return f"{status} {error.get('status', '')}: {error.get('message', '')}"[:500]
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{status} {httpx.codes.get_reason_phrase(status)}"


def said_under_200(body: bytes, key: str) -> str:
    """The words of an error that comes in the body of an answer that is none; "" where there is none."""
    try:
        error = msgspec.json.decode(body)["error"]
        return hide_key(
            f"{error.get('status') or error.get('code') or ''}: {error['message']}"[:500], key
        )
    except (
        msgspec.MsgspecError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        UnicodeDecodeError,
    ):
        return ""


def hide_key(text: str, key: str) -> str:
    """Google repeats an API key in words such as "Consumer 'api_key:…' has been suspended"."""
    return text.replace(key, "[API key]") if key else text


def blames_key(said: str) -> bool:
    """Whether a refusal is of the key or its project, and so not of the one thing that was asked for."""
    return any(sign in said for sign in KEY_SIGNS)


def read_error(response: httpx.Response, what: str) -> GeminiError:
    """The error that a refused call means. The response must have its request, and its body must have been read."""
    status, key = response.status_code, response.request.headers.get(KEY_HEADER, "")
    said = hide_key(_explain(status, response.content), key)
    if status == httpx.codes.NOT_FOUND:
        return NotFoundError(
            f"Gemini knows no {what} for this API key ({said})", status=status, fault="refused"
        )
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) or blames_key(said):
        hint = "check that GEMINI_API_KEY is right and of the project that made the batch (a named one has its own)"
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
    """Likewise, of a result file: a 403 may well mean that it has expired. What blames the key says nothing of it."""
    error = read_error(response, name)
    if error.status not in GONE or (
        error.status == httpx.codes.FORBIDDEN and blames_key(str(error))
    ):
        return error
    return DownloadError(f"{error}; {GONE[error.status]}", status=error.status, fault="refused")


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """What every connection of this process is checked against; reading it takes longer than a small batch."""
    return httpx.create_ssl_context(trust_env=False)


def _open_client(api_key: str, tls: ssl.SSLContext, limits: httpx.Limits) -> httpx.Client:
    return httpx.Client(
        headers={
            KEY_HEADER: api_key,
            "accept-encoding": "identity",
            "user-agent": "gemini-batch-receiver",
        },
        verify=tls,
        limits=limits,
        timeout=USUAL,
        follow_redirects=False,
        trust_env=False,
    )


class Transport:
    """One project's API. Use as a context manager, from one thread. Every call raises GeminiError."""

    def __init__(self, base_url: str, api_key: str, api_version: str) -> None:
        self.base_url, self.api_version, self.key = base_url, api_version, api_key
        self.root = f"{base_url}/{api_version}"
        self._origin = httpx.URL(base_url)
        tls = trusted_certificates()
        self._client = _open_client(api_key, tls, httpx.Limits())
        # Each download has a connection of its own: its trace must tell of one before the first byte of the headers.
        self._downloads = _open_client(api_key, tls, httpx.Limits(max_keepalive_connections=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        self._downloads.close()

    def is_ours(self, url: httpx.URL) -> bool:
        """Whether the key may travel there."""
        return (url.scheme, url.host, url.port) == (
            self._origin.scheme,
            self._origin.host,
            self._origin.port,
        )

    @contextmanager
    def stream(
        self, url: str, headers: Mapping[str, str], what: str, trace: Trace | None = None
    ) -> Iterator[httpx.Response]:
        """A GET whose body is read by the caller; redirects within our origin are followed.

        `trace` is httpx's extension of that name: it is told of the connection while it comes about.
        """
        client = self._downloads if trace else self._client
        request = client.build_request(
            "GET", url, headers=dict(headers), extensions={"trace": trace} if trace else {}
        )
        try:
            for _ in range(MAX_REDIRECTS + 1):
                response = client.send(request, stream=True)
                try:
                    if not response.is_redirect:
                        yield response
                        return
                finally:
                    response.close()
                next_request = response.next_request
                if next_request is None or not self.is_ours(next_request.url):
                    words = f"Gemini redirected {what} to another origin; the API key does not follow there"
                    raise GeminiError(words, fault="outside")
                request = next_request
        except httpx.RequestError as error:
            raise GeminiError(
                f"no answer from Gemini for {what}: {error!r}", retryable=True
            ) from error
        raise GeminiError(
            f"Gemini redirected {what} more than {MAX_REDIRECTS} times", fault="outside"
        )

    def get(self, path: str, what: str) -> bytes:
        """The body of a GET below the API's version, of bounded size and within a deadline."""
        return self.fetch(path, what).content

    def fetch(self, path: str, what: str) -> httpx.Response:
        """The answer to a GET, as `get` reads it, with its headers."""
        deadline = time.monotonic() + ANSWER_DEADLINE_S
        body = bytearray()
        with self.stream(f"{self.root}/{path}", {}, what) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise AnswerTooLargeError(what, MAX_ANSWER_BYTES)
                if time.monotonic() > deadline:
                    raise GeminiError(
                        f"Gemini's answer on {what} took over {ANSWER_DEADLINE_S:.0f} s",
                        retryable=True,
                    )
        plain = _plain(response.headers)
        answer = httpx.Response(
            response.status_code, headers=plain, content=bytes(body), request=response.request
        )
        if answer.status_code != httpx.codes.OK:
            raise read_error(answer, what)
        return answer

    def send(self, method: str, path: str, what: str, body: object = None) -> bytes:
        """The body of the answer to a call that changes something; it is never sent twice."""
        content = b"" if body is None else msgspec.json.encode(body)
        return self.send_bytes(method, f"{self.root}/{path}", what, content, {}).content

    def send_keyless(
        self, url: str, what: str, content: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        """POST to an address that the API named, which needs no key and so gets none."""
        try:
            with httpx.Client(
                verify=trusted_certificates(), timeout=SLOW, trust_env=False
            ) as client:
                response = client.post(url, content=content, headers=dict(headers))
        except httpx.RequestError as error:
            raise GeminiError(
                f"no answer from Gemini for {what}: {error!r}", retryable=True
            ) from error
        if not response.is_success:
            raise read_error(response, what)
        return response

    def send_bytes(
        self, method: str, url: str, what: str, content: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        """The answer to one request with a body of ours, which must be OK."""
        sent = {"content-type": "application/json", **headers}
        try:
            response = self._client.request(method, url, content=content, headers=sent)
        except httpx.RequestError as error:
            is_unsent = isinstance(error, UNSENT)
            words = f"no answer from Gemini for {what}: {error!r}"
            raise GeminiError(words, retryable=True, is_unsent=is_unsent) from error
        if response.is_redirect:
            raise GeminiError(
                f"Gemini redirected {what}; what changes something is not sent elsewhere"
            )
        if not response.is_success:
            raise read_error(response, what)
        return response


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """Headers of a body that is already decoded."""
    return {
        name: value
        for name, value in headers.items()
        if name not in ("content-encoding", "transfer-encoding")
    }


def decode(body: bytes, kind: type[T], what: str) -> T:
    """An answer in its form. Raises GeminiError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise GeminiError(
            f"Gemini's answer on {what} has an unexpected form: {error}", retryable=True
        ) from error
