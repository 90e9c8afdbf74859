"""Calls Gemini for a probe and records each answer as shapes; no status is an error here."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from receiver.errors import GeminiError, on_one_line
from receiver.gemini.refusals import KEY_HEADER, hide_key
from receiver.gemini.transport import SLOW
from receiver.http import httpx, proxy_for, trusted_certificates
from receiver.probe.report import Exchange
from receiver.telemetry.shapes import header_shapes, shape_of
from receiver.tolerant_json import tolerant_reader

WRONG_KEY = "not-a-key"
_decode = tolerant_reader(object)


@dataclass(frozen=True)
class Call:
    """A call to be made."""

    name: str
    method: str
    path: str  # below the origin
    shown: str  # the path with `<id>` in place of names
    body: object = None  # sent as JSON
    content: bytes = b""  # sent as it is
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None  # in place of the project's; "" sends none


@dataclass(frozen=True)
class Answer:
    """What came back. It stays in this process."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    key: str = field(repr=False)

    @property
    def is_success(self) -> bool:
        return httpx.codes.is_success(self.status)

    def json(self) -> dict[str, Any]:
        """The JSON object; empty for anything else."""
        value = _read_json(self.content)
        return value if isinstance(value, dict) else {}

    def said(self) -> str:
        """The status and the error's message, for the terminal."""
        error = self.json().get("error")
        message = error.get("message") if isinstance(error, dict) else ""
        return hide_key(on_one_line(f"{self.status} {message or ''}"[:300]), self.key)


class Recorder:
    """One project's API; a context manager. Every call raises GeminiError where no answer comes."""

    def __init__(self, base_url: str, api_key: str, api_version: str) -> None:
        self.version = api_version
        self._origin, self._key = httpx.URL(base_url), api_key
        self._client = httpx.Client(
            base_url=base_url,
            headers={"accept-encoding": "identity", "user-agent": "gemini-batch-receiver"},
            verify=trusted_certificates(),
            timeout=SLOW,
            follow_redirects=False,
            proxy=proxy_for(base_url),
            trust_env=False,
        )
        self._began = time.monotonic()
        self.exchanges: list[Exchange] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def elapsed_s(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def is_safe(self, url: str) -> bool:
        """Whether bytes may be sent to a URL that the API named."""
        parts = httpx.URL(url)
        ours = (self._origin.scheme, self._origin.host, self._origin.port)
        return parts.scheme == "https" or (parts.scheme, parts.host, parts.port) == ours

    def send(self, call: Call, *, only_if_new: bool = False, record: bool = True) -> Answer:
        """`only_if_new` leaves out an answer that looks like the last one of the same call."""
        exchange = Exchange(call=call.name, request=f"{call.method} {call.shown}")
        exchange.at_s = self.elapsed_s()
        try:
            response = self._request(call)
        except httpx.RequestError as error:
            exchange.error = type(error).__name__
            self.exchanges.append(exchange)
            raise GeminiError(f"no answer from Gemini to {call.name}: {error!r}") from None
        exchange.took_s = round(self.elapsed_s() - exchange.at_s, 3)
        exchange.status = response.status_code
        exchange.headers = header_shapes(response.headers.multi_items())
        exchange.body = body_shape(response)
        if record and not (only_if_new and self._looks_like_last(exchange)):
            self.exchanges.append(exchange)
        return Answer(response.status_code, response.headers, response.content, self._key)

    def _request(self, call: Call) -> httpx.Response:
        key = self._key if call.key is None else call.key
        content = call.content if call.body is None else msgspec.json.encode(call.body)
        headers = {"content-type": "application/json", **call.headers}
        headers |= {KEY_HEADER: key} if key else {}
        return self._client.request(call.method, call.path, content=content, headers=headers)

    def _looks_like_last(self, exchange: Exchange) -> bool:
        last = next((one for one in reversed(self.exchanges) if one.call == exchange.call), None)
        return last is not None and (last.status, last.body) == (exchange.status, exchange.body)


def body_shape(response: httpx.Response) -> Any:
    """The shape of JSON, of each line of JSON lines, or the number of bytes of anything else."""
    content = response.content
    if not content.strip():
        return "empty"
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        return f"{len(content)} bytes"
    value = _read_json(content)
    if value is not None:
        return shape_of(value)
    rows = [_read_json(line) for line in content.splitlines()]
    return {"lines": shape_of(rows)} if all(rows) else "no JSON"


def _read_json(content: bytes) -> object:
    try:
        return _decode(content)
    except (ValueError, RecursionError):
        return None
