"""A key set endpoint on loopback that answers, stalls and breaks as a test says, and the cache under test before it."""

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from deploy.sandbox.processes import allocate_port
from receiver.verification.jwks import KeySetCache
from tests.receiver.forging import KID, ed25519_jwk, jwks, rsa_jwk

OLD = jwks(rsa_jwk())
NEW = jwks(rsa_jwk(kid="key-2"), ed25519_jwk())
HUGE = OLD + b" " * 256 * 1024
TIMEOUT_S = 0.5
PLAIN_TLS = ssl.SSLContext(
    ssl.PROTOCOL_TLS_CLIENT
)  # loading the authorities for every scene would take longest

# Arguments of KeyEndpoint.answer, none of which may replace good keys.
BROKEN: dict[str, dict[str, Any]] = {
    "empty": {"body": b""},
    "garbage": {"body": b"<html>try later</html>"},
    "no keys": {"body": b'{"keys": []}'},
    "only foreign keys": {"body": jwks({"kty": "EC", "kid": KID})},
    "not found": {"body": NEW, "status": "404 Not Found"},
    "server error": {"body": NEW, "status": "500 Internal Server Error"},
    "no content": {"body": b"", "status": "204 No Content"},
    "cut short": {"body": NEW, "length": len(NEW) + 1},
    "too large": {"body": HUGE},
    "gzip": {"body": gzip.compress(NEW), "extra": "content-encoding: gzip\r\n"},
    "bad framing": {"body": NEW, "extra": "content-length: 1\r\n"},
    "bad header": {"body": NEW, "extra": "no header at all\r\n"},
}


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class KeyEndpoint:
    """An HTTP server with one answer at a time; it remembers what it was asked."""

    def __init__(self) -> None:
        self.port = allocate_port()
        self.url = f"http://127.0.0.1:{self.port}/.well-known/jwks.json"
        self.asked: list[str] = []  # request heads in lower case
        self.arrived = asyncio.Event()  # a request is here
        self.released = asyncio.Event()  # answers wait for it
        self.released.set()
        self.head, self.body = b"", b""
        self.is_dripping = False  # the body comes byte by byte and never ends
        self.answer(OLD)

    def answer(
        self, body: bytes, *, status: str = "200 OK", extra: str = "", length: int | None = None
    ) -> None:
        size = len(body) if length is None else length
        self.head = f"HTTP/1.1 {status}\r\n{extra}connection: close\r\ncontent-length: {size}\r\n\r\n".encode()
        self.body = body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        self.arrived.set()
        await self.released.wait()
        with contextlib.suppress(ConnectionError):
            writer.write(self.head + self.body)
            await writer.drain()
            while self.is_dripping and not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.02)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@dataclass(frozen=True)
class Scene:
    endpoint: KeyEndpoint
    server: asyncio.Server
    client: httpx.AsyncClient
    clock: Clock
    cache: KeySetCache

    async def known_kids(self) -> list[str]:
        return list((await self.cache.get()).rsa)

    async def refreshed_kids(self) -> list[str]:
        return list((await self.cache.refresh()).rsa)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    endpoint, clock = KeyEndpoint(), Clock()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", endpoint.port)
    # A client as careless as can be: the cache may rely on none of its defaults.
    client = httpx.AsyncClient(
        follow_redirects=True,
        headers={"x-goog-api-key": "canary"},
        auth=("canary", "canary"),
        verify=PLAIN_TLS,
    )
    async with server, client:
        cache = KeySetCache(endpoint.url, client=client, clock=clock, timeout_s=TIMEOUT_S)
        yield Scene(endpoint, server, client, clock, cache)
        endpoint.released.set()


def play(act: Callable[[Scene], Awaitable[None]]) -> None:
    """Run a test's coroutine in a loop and a scene of its own."""

    async def run() -> None:
        async with scene() as stage:
            await act(stage)

    asyncio.run(run())
