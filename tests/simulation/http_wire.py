"""HTTP as the product sees it: calls reach the sandbox and the web process, or fail on the way."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpcore
import msgspec
from starlette.types import ASGIApp, Message

from deploy.sandbox.google_api import utc_text
from receiver.http import httpx
from tests.simulation.effects import Effects
from tests.simulation.loop import Loop

DELIVERY_TIMEOUT_S = 5.0
LIST_LAG_S = 45.0
MESSAGES = {429: "Quota exceeded.", 500: "Internal error.", 503: "Overloaded."}
MESSAGES |= {403: "The caller does not have permission.", 404: "Requested entity was not found."}
PAGE = b"<html><body>Sign in to the network</body></html>"


class Answer(NamedTuple):
    """What a server answered, whole."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


async def ask_app(app: ASGIApp, method: str, url: httpx.URL, headers: Any, body: bytes) -> Answer:
    """One request to an ASGI application."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "headers": [(name.lower(), value) for name, value in headers],
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "app": app,
        "state": {},
    }
    received = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if received:
            return received.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    pairs = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]
    ]
    return Answer(sent[0]["status"], pairs, b"".join(one.get("body", b"") for one in sent[1:]))


def refuse(status: int, generator: random.Random) -> Answer:
    """An error in the form of Google's APIs."""
    error = {"code": status, "message": MESSAGES[status], "status": "SIMULATED"}
    headers = [("content-type", "application/json")]
    if status == httpx.codes.TOO_MANY_REQUESTS and generator.random() < 0.5:
        headers.append(("retry-after", str(generator.randint(1, 90))))
    return Answer(status, headers, msgspec.json.encode({"error": error}))


class Network:
    """Who can be reached in this seed, and what befalls the calls."""

    def __init__(self, effects: Effects, generator: random.Random) -> None:
        self.effects, self.generator = effects, generator
        self.gemini: tuple[ASGIApp, Loop] | None = None
        self.web: tuple[ASGIApp, Loop] | None = None
        self.may_lie: Callable[[str], bool] = lambda _: False
        self.on_acknowledged: Callable[[bytes], None] = lambda _: None
        self.problems: list[str] = []

    def ask_gemini(self, request: httpx.Request) -> Answer:
        """The answer of the sandbox, whatever the network makes of it."""
        assert self.gemini is not None
        app, loop = self.gemini
        call = ask_app(app, request.method, request.url, request.headers.raw, request.read())
        return asyncio.run_coroutine_threadsafe(call, loop).result()

    def call_gemini(self, request: httpx.Request) -> httpx.Response:
        """A call of the product."""
        effects, path = self.effects, request.url.path
        label = f"{request.method} {path[:60]}"
        fault = effects.begin("gemini", label) or ""
        if fault == "unsent":
            raise httpx.ConnectError("simulated: connection refused", request=request)
        if fault.isdecimal():
            return _respond(refuse(int(fault), self.generator), request)
        answer = self.ask_gemini(request)
        effects.end(label)
        if fault == "lost":
            raise httpx.ReadError("simulated: connection reset", request=request)
        if fault == "unsure 503":
            return _respond(refuse(503, self.generator), request)
        if path.endswith(":download") and answer.status < httpx.codes.MULTIPLE_CHOICES:
            return self._download(answer, request)
        if fault == "empty":
            answer = answer._replace(headers=[], body=b"")
        if fault == "late" and path.endswith("/batches"):
            answer = answer._replace(body=_hide_newest(answer.body))
        return _respond(answer, request)

    def _download(self, answer: Answer, request: httpx.Request) -> httpx.Response:
        effects, kinds = self.effects, ("half", "within a line", "nothing", "page")
        may_lie = answer.status == httpx.codes.OK and self.may_lie(request.url.path)
        lie = effects.faults.take("download", effects.scheduler.now_ns, kinds) if may_lie else None
        if lie and effects.faults.may_lie(request.url.path):
            effects.note(f"the answer is a lie: {lie}")
            body = _lie(lie, answer.body, self.generator)
            headers = [("content-length", str(len(body))), ("content-type", "application/jsonl")]
            answer = Answer(answer.status, headers, body)
        stream = _Pieces(self, answer.body, request)
        response = httpx.Response(answer.status, headers=answer.headers, stream=stream)
        response.request, response.extensions["network_stream"] = request, stream
        return response

    async def deliver(self, request: httpx.Request) -> httpx.Response:
        """A delivery of the sandbox to the web process."""
        effects, body = self.effects, await request.aread()
        fault = effects.faults.take("delivery", effects.scheduler.now_ns)
        await asyncio.sleep(self.generator.random() * (20 if fault == "slow" else 0.2))
        effects.note(
            f"delivery {request.headers['webhook-id'][:12]}{f' ! {fault}' if fault else ''}"
        )
        if fault == "refused" or self.web is None:
            raise httpx.ConnectError("simulated: connection refused", request=request)
        if fault == "forged":
            body = body.replace(b"batch", b"Batch", 1)
        app, loop = self.web
        call = ask_app(app, request.method, request.url, request.headers.raw, body)
        future = asyncio.run_coroutine_threadsafe(call, loop)
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                answer = await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise httpx.ReadTimeout("simulated: no answer", request=request) from error
        if fault == "forged" and answer.status not in (401, 503):
            self.problems.append(f"a forged delivery was answered {answer.status}")
        if fault != "forged" and answer.status in (200, 202):
            self.on_acknowledged(body)
        if fault == "lost":
            raise httpx.ReadError("simulated: connection reset", request=request)
        return _respond(answer, request)


class _Pieces(httpx.SyncByteStream):
    """The body of a download, in pieces that may stop coming.

    The first is read through httpx, the others may come straight from the connection: by `read`.
    """

    def __init__(self, network: Network, body: bytes, request: httpx.Request) -> None:
        self._network, self._body, self._request = network, body, request
        self._pieces, self._left = self._cut_up(), b""

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    def read(self, max_bytes: int, _timeout_s: float | None = None) -> bytes:
        """What httpcore's network stream gives: nothing where the peer has closed it."""
        try:
            piece = self._left or next(self._pieces, b"")
        except httpx.RemoteProtocolError:
            return b""
        except httpx.ReadTimeout as error:
            raise httpcore.ReadTimeout(str(error)) from error
        self._left = piece[max_bytes:]
        return piece[:max_bytes]

    def _cut_up(self) -> Iterator[bytes]:
        network, body = self._network, self._body
        count = network.generator.randint(1, 3)
        bounds = sorted(network.generator.randint(0, len(body)) for _ in range(count - 1))
        for start, end in zip([0, *bounds], [*bounds, len(body)], strict=True):
            label = f"bytes {start} to {end}"
            fault = network.effects.begin("download", label, ("cut", "stall", "slow"))
            if fault == "cut":
                raise httpx.RemoteProtocolError("simulated: peer closed", request=self._request)
            if fault == "stall":
                network.effects.scheduler.sleep(30)
                raise httpx.ReadTimeout("simulated: no byte came", request=self._request)
            if end > start:
                yield body[start:end]


def _hide_newest(body: bytes) -> bytes:
    """A list of batches that lags behind by some seconds."""
    listed = msgspec.json.decode(body)
    since = utc_text(int((time.time() - LIST_LAG_S) * 1e9))
    operations = listed.get("operations", [])
    listed["operations"] = [one for one in operations if one["metadata"]["createTime"] < since]
    return msgspec.json.encode(listed)


def _lie(kind: str, body: bytes, generator: random.Random) -> bytes:
    lines = body.splitlines(keepends=True)
    if kind == "half":
        return b"".join(lines[: generator.randrange(len(lines))] if lines else [])
    if kind == "within a line":
        return body[: generator.randrange(max(1, len(body) - 1))]
    return PAGE if kind == "page" else b""


def _respond(answer: Answer, request: httpx.Request) -> httpx.Response:
    body = httpx.ByteStream(answer.body)
    return httpx.Response(answer.status, headers=answer.headers, stream=body, request=request)


class _Holder:
    network: Network


_holder = _Holder()


def begin(network: Network) -> None:
    """From now on calls go over this network."""
    _holder.network = network


class Transport(httpx.BaseTransport):
    """In place of httpx's, which would open a socket."""

    def __init__(self, **_: Any) -> None:
        pass

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _holder.network.call_gemini(request)


class AsyncTransport(httpx.AsyncBaseTransport):
    """Of the sandbox, which sends deliveries."""

    def __init__(self, **_: Any) -> None:
        pass

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await _holder.network.deliver(request)


def install() -> None:
    clients: Any = httpx._client  # noqa: SLF001 - the one place where httpx makes its transports
    clients.HTTPTransport, clients.AsyncHTTPTransport = Transport, AsyncTransport
