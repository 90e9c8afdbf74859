"""The body of a result file, read past the HTTP parser."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.sandbox.processes import allocate_port
from receiver.gemini.batches import read_body
from tests.fault_proxy import RESET_ON_CLOSE, serving
from tests.tls_proxy import make_certificates, running_tls_proxy

READ_S = 1.0
BODY = bytes(range(256)) * 2_000
LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 512000\r\n\r\n"


@contextmanager
def opened(url: str, tls: ssl.SSLContext | None = None) -> Iterator[httpx.Response]:
    with (
        httpx.Client(verify=tls or False, trust_env=False, timeout=READ_S) as client,
        client.stream("GET", url) as response,
    ):
        yield response


def read_answer(*pieces: bytes, ending: str = "close") -> bytes:
    """What `read_body` makes of an answer that a server sends in these pieces, each on its own."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)  # a packet of its own
        if ending == "reset":
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()
        elif ending == "silence":
            await reader.read()  # until the client has gone

    port = allocate_port()
    with serving(handle, port), opened(f"http://127.0.0.1:{port}/") as response:
        return b"".join(read_body(response))


@pytest.mark.parametrize("early_bytes", [0, 1, 100, len(BODY)])
def test_body_beside_the_headers_is_not_lost(early_bytes: int) -> None:
    assert read_answer(LENGTH + BODY[:early_bytes], BODY[early_bytes:]) == BODY


def test_body_ends_at_its_length() -> None:
    assert read_answer(LENGTH + BODY[:9], BODY[9:] + b"more", ending="silence") == BODY


@pytest.mark.parametrize("length", [b"content-length: 7\r\n", b""])
def test_chunks_are_unwrapped(length: bytes) -> None:
    """A length beside the chunks is no length of what is on the wire."""
    headers = b"HTTP/1.1 200 OK\r\n" + length + b"transfer-encoding: chunked\r\n\r\n"
    assert read_answer(headers + b"3\r\nabc", b"\r\n4\r\ndefg\r\n0\r\n\r\n") == b"abcdefg"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_length_of_no_body_is_not_waited_for(status: bytes) -> None:
    head = b"HTTP/1.1 " + status + b"\r\ncontent-length: 9\r\n\r\n"
    assert read_answer(head, ending="silence") == b""


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("close", httpx.RemoteProtocolError),
        ("reset", httpx.ReadError),
        ("silence", httpx.ReadTimeout),
    ],
)
@pytest.mark.parametrize("sent_bytes", [0, 1, 200_000])
def test_body_that_ends_early_is_an_error(
    ending: str, error: type[httpx.TransportError], sent_bytes: int
) -> None:
    with pytest.raises(error):
        read_answer(LENGTH, BODY[:sent_bytes], ending=ending)


def test_body_over_tls_arrives_whole(tmp_path: Path) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(LENGTH + BODY)
        await writer.drain()

    files, port = make_certificates(tmp_path), allocate_port()
    context = ssl.create_default_context(cafile=files.ca_file)
    with (
        serving(handle, port),
        running_tls_proxy(port, files.server_file) as tls_port,
        opened(f"https://127.0.0.1:{tls_port}/", context) as response,
    ):
        assert b"".join(read_body(response)) == BODY
