"""REST client for the parts of Gemini's Batch and Files API that we read.

The key travels to the configured origin alone: redirects elsewhere are refused. What the API answers is described in
https://ai.google.dev/api/batch-api; fields can be strings, numbers or absent, so everything is read with tolerance.
"""

import functools
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from receiver.errors import BatchNotFoundError, GeminiError

TERMINAL_STATES = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
KEY_HEADER = "x-goog-api-key"
MAX_ANSWER_BYTES = 256 * 1024 * 1024  # inlined responses come twice in one answer
ANSWER_DEADLINE_S = 120.0
MAX_REDIRECTS = 3
PAGE_SIZE = 100
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_RETRY_AFTER_S = 3600.0
T = TypeVar("T")
Trace = Callable[[str, Mapping[str, Any]], None]
BATCH_NAME = re.compile(r"batches/[A-Za-z0-9_-]{1,128}")
FILE_NAME = re.compile(r"files/[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True)
class Batch:
    """A batch job as Gemini describes it."""

    name: str  # "batches/<id>"
    state: str  # "SUCCEEDED", without the prefix that differs between the service and its guide
    display_name: str | None
    model: str | None  # "models/gemini-3.5-flash"
    created: str | None  # RFC 3339 with up to nine fraction digits
    ended: str | None
    requests: int | None  # batchStats.requestCount
    result_file: str | None  # "files/batch-<id>"
    inlined: tuple[bytes, ...] | None  # one compact JSON object a response, numbers and escapes as sent
    error_code: int | None
    error_message: str | None

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def has_output(self) -> bool:
        return self.result_file is not None or self.inlined is not None


class _Status(msgspec.Struct):
    code: int | None = None
    message: str | None = None


class _InlinedResponses(msgspec.Struct, rename="camel"):
    inlined_responses: list[msgspec.Raw] = []


class _Output(msgspec.Struct, rename="camel"):
    responses_file: str | None = None
    inlined_responses: _InlinedResponses | None = None


class _Stats(msgspec.Struct, rename="camel"):
    request_count: str | int | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    state: str = ""
    display_name: str | None = None
    model: str | None = None
    create_time: str | None = None
    end_time: str | None = None
    batch_stats: _Stats | None = None
    output: _Output | None = None
    error: _Status | None = None


class _Operation(msgspec.Struct):
    name: str = ""
    metadata: _Metadata | None = None
    response: _Output | None = None
    error: _Status | None = None


class _Page(msgspec.Struct, rename="camel"):
    operations: list[_Operation] = []
    next_page_token: str = ""


def _compact(row: msgspec.Raw) -> bytes:
    """A row on one line: the API prints with indentation. Only white space between tokens changes."""
    return msgspec.json.format(bytes(row), indent=-1)


def _count(text: str | int | None) -> int | None:
    return int(text) if text is not None and str(text).isdecimal() else None


def _read_operation(operation: _Operation) -> Batch:
    metadata = operation.metadata or _Metadata()
    outputs = [output for output in (metadata.output, operation.response) if output]
    file = next((output.responses_file for output in outputs if output.responses_file), None)
    if file is not None and not FILE_NAME.fullmatch(file):
        raise GeminiError(f"{operation.name} names a result file that is no file name; nothing was fetched")
    inlined = next((output.inlined_responses for output in outputs if output.inlined_responses is not None), None)
    error = operation.error or metadata.error
    return Batch(
        name=operation.name,
        state=metadata.state.rpartition("STATE_")[2] or "UNSPECIFIED",
        display_name=metadata.display_name,
        model=metadata.model,
        created=metadata.create_time,
        ended=metadata.end_time,
        requests=_count(metadata.batch_stats.request_count) if metadata.batch_stats else None,
        result_file=file,
        inlined=None if inlined is None else tuple(_compact(row) for row in inlined.inlined_responses),
        error_code=error.code if error else None,
        error_message=error.message if error else None,
    )


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


def hide_key(text: str, key: str) -> str:
    """Google repeats an API key in words such as "Consumer 'api_key:…' has been suspended"."""
    return text.replace(key, "[API key]") if key else text


def read_error(response: httpx.Response, what: str) -> GeminiError:
    """The error that a refused call means. The response must have its request, and its body must have been read."""
    status, key = response.status_code, response.request.headers.get(KEY_HEADER, "")
    said = hide_key(_explain(status, response.content), key)
    if status == httpx.codes.NOT_FOUND:
        return BatchNotFoundError(f"Gemini knows no {what} for this API key ({said})", status=status)
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) or "API key" in said:
        hint = "check that GEMINI_API_KEY is right and of the project that made the batch (a named one has its own)"
        return GeminiError(f"Gemini refused {what} ({said}): {hint}", status=status, retryable=True)
    return GeminiError(
        f"Gemini did not give {what} ({said})",
        status=status,
        retryable=status in RETRYABLE_STATUS,
        retry_after_s=retry_after_s(response.headers),
    )


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """What every connection of this process is checked against; reading it takes longer than a small batch."""
    return httpx.create_ssl_context(trust_env=False)


def _open_client(api_key: str, tls: ssl.SSLContext, limits: httpx.Limits) -> httpx.Client:
    return httpx.Client(
        headers={KEY_HEADER: api_key, "accept-encoding": "identity", "user-agent": "gemini-batch-receiver"},
        verify=tls,
        limits=limits,
        timeout=httpx.Timeout(30, connect=10),
        follow_redirects=False,
        trust_env=False,
    )


class Gemini:
    """One project's API. Use as a context manager, from one thread."""

    def __init__(self, base_url: str, api_key: str, api_version: str = "v1beta") -> None:
        self._root, self._key = f"{base_url}/{api_version}", api_key
        self._origin = httpx.URL(base_url)
        tls = trusted_certificates()
        self._client = _open_client(api_key, tls, httpx.Limits())
        # Each download has a connection of its own: its trace must tell of one before the first byte of the headers.
        self._downloads = _open_client(api_key, tls, httpx.Limits(max_keepalive_connections=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._downloads.close()

    def _is_ours(self, url: httpx.URL) -> bool:
        return (url.scheme, url.host, url.port) == (self._origin.scheme, self._origin.host, self._origin.port)

    @contextmanager
    def _stream(
        self, url: str, headers: Mapping[str, str], what: str, trace: Trace | None = None
    ) -> Iterator[httpx.Response]:
        """A GET whose body is read by the caller; redirects within our origin are followed."""
        client = self._downloads if trace else self._client
        request = client.build_request("GET", url, headers=dict(headers), extensions={"trace": trace} if trace else {})
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
                if next_request is None or not self._is_ours(next_request.url):
                    raise GeminiError(f"Gemini redirected {what} to another origin; the API key does not follow there")
                request = next_request
        except httpx.TransportError as error:
            raise GeminiError(f"no answer from Gemini for {what}: {error!r}", retryable=True) from error
        raise GeminiError(f"Gemini redirected {what} more than {MAX_REDIRECTS} times")

    @contextmanager
    def stream_file(self, name: str, headers: Mapping[str, str], trace: Trace) -> Iterator[httpx.Response]:
        """The open download of a result file (`files/…`); status and body are the caller's to read.

        `trace` is httpx's extension of that name: it is told of the connection while it comes about.
        """
        with self._stream(f"{self._root}/{quote(name)}:download?alt=media", headers, name, trace) as response:
            yield response

    def _get(self, path: str, what: str) -> bytes:
        deadline = time.monotonic() + ANSWER_DEADLINE_S
        body = bytearray()
        with self._stream(f"{self._root}/{path}", {}, what) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise GeminiError(f"Gemini's answer on {what} is over {MAX_ANSWER_BYTES >> 20} MiB")
                if time.monotonic() > deadline:
                    raise GeminiError(f"Gemini's answer on {what} took over {ANSWER_DEADLINE_S:.0f} s", retryable=True)
        plain = _plain(response.headers)
        answer = httpx.Response(response.status_code, headers=plain, content=bytes(body), request=response.request)
        if answer.status_code != httpx.codes.OK:
            raise read_error(answer, what)
        return answer.content

    def get_batch(self, name: str) -> Batch:
        """One batch (`batches/<id>`), with its inlined responses. Raises BatchNotFoundError or GeminiError."""
        if not BATCH_NAME.fullmatch(name):
            raise GeminiError(f"{name!r} is no batch name: expected batches/<id>")
        batch = _read_operation(_decode(self._get(name, name), _Operation, name))
        said = batch.error_message
        return replace(batch, name=name, error_message=said and hide_key(said, self._key))

    def list_batches(self) -> Iterator[Batch]:
        """Every batch of the project, newest first, page by page; inlined responses may be left out."""
        token, seen = "", set[str]()
        while True:
            query = f"batches?pageSize={PAGE_SIZE}" + (f"&pageToken={quote(token, safe='')}" if token else "")
            page = _decode(self._get(query, "the list of batches"), _Page, "the list of batches")
            yield from (_read_operation(operation) for operation in page.operations)
            token = page.next_page_token
            if not token:
                return
            if token in seen:
                raise GeminiError("Gemini's list of batches goes in circles", retryable=True)
            seen.add(token)


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """Headers of a body that is already decoded."""
    return {name: value for name, value in headers.items() if name not in ("content-encoding", "transfer-encoding")}


def _decode(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise GeminiError(f"Gemini's answer on {what} has an unexpected form: {error}", retryable=True) from error
