"""Calls Gemini's API: bounded answers, and errors that say what to do.

The API key goes to the configured origin alone: redirects to other ones are refused.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import msgspec

from receiver.errors import AnswerTooLargeError, GeminiError
from receiver.gemini.refusals import KEY_HEADER, read_error
from receiver.http import httpx, proxy_for, trusted_certificates

MAX_ANSWER_BYTES = 256 * 1024 * 1024  # inlined responses come twice in one answer
ANSWER_DEADLINE_S = 120.0
MAX_REDIRECTS = 3
MAX_REFUSAL_BYTES = 64 * 1024
USUAL = httpx.Timeout(30, connect=10)
SLOW = httpx.Timeout(120, connect=10)  # for a chunk of an upload
# Errors before there was a connection to send the request over.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
T = TypeVar("T")
Trace = Callable[[str, Mapping[str, Any]], None]


def _open_client(
    base_url: str, api_key: str, tls: ssl.SSLContext, limits: httpx.Limits
) -> httpx.Client:
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
        proxy=proxy_for(base_url),
        trust_env=False,
    )


@contextmanager
def _translate_network_errors(what: str, url: str) -> Iterator[None]:
    """Raise httpx's errors as GeminiError, which says whether the call was sent."""
    try:
        yield
    except httpx.RequestError as error:
        way = " through the proxy that HTTPS_PROXY names" if proxy_for(url) else ""
        words = f"no answer from Gemini for {what}{way}: {error!r}"
        is_unsent = isinstance(error, UNSENT)
        raise GeminiError(words, retryable=True, is_unsent=is_unsent) from error


class Transport:
    """One project's API, a context manager for one thread. Every call raises GeminiError."""

    def __init__(self, base_url: str, api_key: str, api_version: str) -> None:
        self.base_url, self.api_version, self.key = base_url, api_version, api_key
        self.root = f"{base_url}/{api_version}"
        self._origin = httpx.URL(base_url)
        tls = trusted_certificates()
        self._client = _open_client(base_url, api_key, tls, httpx.Limits())
        # Each download has a connection of its own, so that its trace gets the connection before
        # the first byte of the headers.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._downloads = _open_client(base_url, api_key, tls, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._downloads.close()

    def is_ours(self, url: httpx.URL) -> bool:
        """Whether the key may be sent there."""
        return (url.scheme, url.host, url.port) == (
            self._origin.scheme,
            self._origin.host,
            self._origin.port,
        )

    @contextmanager
    def stream(
        self, url: str, headers: Mapping[str, str], what: str, trace: Trace | None = None
    ) -> Iterator[httpx.Response]:
        """A GET whose body the caller reads. Redirects within the origin are followed.

        `trace` is httpx's extension of that name, called while the connection is made.
        """
        client = self._downloads if trace else self._client
        request = client.build_request(
            "GET", url, headers=dict(headers), extensions={"trace": trace} if trace else {}
        )

        with _translate_network_errors(what, url):
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
                    words = "to another origin; the API key does not follow there"
                    raise GeminiError(f"Gemini redirected {what} {words}", fault="outside")
                request = next_request

        raise GeminiError(
            f"Gemini redirected {what} more than {MAX_REDIRECTS} times", fault="outside"
        )

    def get(self, path: str, what: str) -> bytes:
        """The body of a GET, with limits on size and time; `path` is below the API version."""
        return self.fetch(path, what).content

    def fetch(self, path: str, what: str) -> httpx.Response:
        """Like `get`, with the headers."""
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
        """Send a call that changes something, never twice. Gives the body of the answer."""
        content = b"" if body is None else msgspec.json.encode(body)
        return self.send_bytes(method, f"{self.root}/{path}", what, content, {}).content

    def send_keyless(
        self, url: str, what: str, content: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        """POST to a URL that the API named, without the key, which it does not need."""
        with (
            _translate_network_errors(what, url),
            httpx.Client(
                verify=trusted_certificates(), timeout=SLOW, proxy=proxy_for(url), trust_env=False
            ) as client,
        ):
            response = client.post(url, content=content, headers=dict(headers))
        if not response.is_success:
            raise read_error(response, what)
        return response

    def send_bytes(
        self, method: str, url: str, what: str, content: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Send one request with a body. Gives the answer if it is a success."""
        response = self.exchange(method, url, what, content, headers)
        if not response.is_success:
            raise read_error(response, what)
        return response

    def exchange(  # noqa: PLR0913, PLR0917 - what a request is made of
        self,
        method: str,
        url: str,
        what: str,
        content: bytes,
        headers: Mapping[str, str],
        timeout: httpx.Timeout = USUAL,
    ) -> httpx.Response:
        """Send one request with a body, from any thread. Gives the answer, whatever its status."""
        sent = {"content-type": "application/json", **headers}
        with _translate_network_errors(what, url):
            response = self._client.request(
                method, url, content=content, headers=sent, timeout=timeout
            )
        if response.is_redirect:
            raise GeminiError(
                f"Gemini redirected {what}; what changes something is not sent elsewhere"
            )
        return response


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """The headers that are true of a body that is already decoded."""
    return {
        name: value
        for name, value in headers.items()
        if name not in ("content-encoding", "transfer-encoding")
    }


def decode(body: bytes, kind: type[T], what: str) -> T:
    """Decode an answer. Raises GeminiError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise GeminiError(
            f"Gemini's answer on {what} has an unexpected form: {error}", retryable=True
        ) from error
