"""The limits of a connection, over real sockets: uvicorn, our protocol, a minimal application."""

import asyncio
import contextlib
import dataclasses
import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from receiver.api.uploads import allow_upload
from receiver.web.http_limits import HttpLimits
from receiver.web.http_protocol import SLICE_BYTES, Bodies, LimitedProtocol
from tests.waiting import eventually

QUICK = HttpLimits(
    request_s=0.3,
    upload_idle_s=0.4,
    upload_s=1.5,
    idle_s=0.4,
    crowded_idle_s=0.2,
    linger_s=0.2,
    stop_s=0.3,
    tick_s=0.05,
)
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


class QuickProtocol(LimitedProtocol):
    limits = QUICK


class RunningServer:
    """The server's side: what its application saw."""

    def __init__(self, protocol: type[LimitedProtocol]) -> None:
        self.seen: list[
            str
        ] = []  # of each request: its headers' names and its body's length, or "aborted"
        self.slow = threading.Event()  # answers wait for it
        self.slow.set()
        config = uvicorn.Config(
            self.app,
            interface="asgi3",
            port=0,
            http=protocol,
            ws="none",
            log_config=None,
            timeout_graceful_shutdown=8,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    async def app(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        if scope["path"].startswith("/upload"):
            allow_upload(scope)
        if scope["path"] not in ("/early", "/upload/early"):
            size, more = 0, True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self.seen.append("aborted")
                    return
                assert message["type"] == "http.request"
                size, more = size + len(message["body"]), message["more_body"]
            await asyncio.to_thread(self.slow.wait, 10)
            self.seen.append(f"{b' '.join(name for name, _ in scope['headers']).decode()} {size}")
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        )
        await send({"type": "http.response.body", "body": b"ok"})

    @property
    def whole(self) -> list[str]:
        """The requests that came to their end."""
        return [one for one in self.seen if one != "aborted"]

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.server.servers[0].sockets[0].getsockname()
        return host, port

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)

    def talk(self, *pieces: bytes) -> bytes:
        """Send these pieces, and read until the server closes."""
        with self.connect() as client:
            for piece in pieces:
                client.sendall(piece)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def read_until(client: socket.socket, end: bytes) -> bytes:
    answer = b""
    while not answer.endswith(end):
        piece = client.recv(65536)
        assert piece, answer
        answer += piece
    return answer


@contextmanager
def opened(protocol: type[LimitedProtocol] = QuickProtocol) -> Iterator[RunningServer]:
    running = RunningServer(protocol)
    running.thread.start()
    eventually(lambda: running.server.started)
    try:
        yield running
    finally:
        running.slow.set()
        running.server.should_exit = True
        running.thread.join(20)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[RunningServer]:
    with opened() as running:
        yield running


@pytest.fixture
def running(shared_server: RunningServer) -> RunningServer:
    shared_server.seen.clear()
    return shared_server


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_whole_request_is_answered(running: RunningServer) -> None:
    answer = running.talk(POST + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc")
    assert status(answer) == 200
    assert running.whole == ["host connection content-length 3"]


CHUNKED = b"Transfer-Encoding: chunked\r\n"
AMBIGUOUS = {
    "both lengths": POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "both lengths turned": POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "signed length": POST + b"Content-Length: +3\r\n\r\nabc",
    "negative length": POST + b"Content-Length: -3\r\n\r\nabc",
    "hexadecimal length": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "endless length": POST + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "space before colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "other coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "twice chunked": POST + CHUNKED + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\n" + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "bad chunk": POST + CHUNKED + b"\r\nzz\r\nabc\r\n0\r\n\r\n",
    "bare line feeds": GET.replace(b"\r\n", b"\n") + b"\n",
    "null byte": GET + b"X: a\0b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "version 0.9": b"GET /\r\n\r\n",
    "version 2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "bare scheme": b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority": b"GET x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade": GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "tunnel": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("request_bytes", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_request_is_refused(running: RunningServer, request_bytes: bytes) -> None:
    answer = running.talk(request_bytes)
    assert status(answer) == 400
    assert answer.count(b"\r\ndate: ") == 1
    assert running.whole == []


def test_head_of_many_headers_is_refused(running: RunningServer) -> None:
    assert status(running.talk(GET + b"X:\r\n" * 9_000 + b"\r\n")) == 431
    assert running.whole == []


@pytest.mark.parametrize("size", [33_000, 100_000, 1_000_000])
def test_large_head_is_refused(running: RunningServer, size: int) -> None:
    assert status(running.talk(GET + b"X: " + b"a" * size + b"\r\n\r\n")) == 431
    assert running.whole == []


def test_endless_head_is_cut(running: RunningServer) -> None:
    with running.connect() as client:
        client.sendall(GET + b"X: ")
        deadline = time.monotonic() + 5
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                client.sendall(b"a" * 1024 * 1024)
        assert time.monotonic() < deadline


def test_endless_trailer_is_cut(running: RunningServer) -> None:
    assert status(running.talk(POST + CHUNKED + b"\r\n0\r\nX: ", b"a" * 1_000_000)) == 431


BEFORE_THE_END = POST + CHUNKED + b"\r\n3\r\nabc\r\n"
HEAD_BYTES = QUICK.head_bytes


@pytest.mark.parametrize(
    "end",
    [
        b"0\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"0\r\n" + b"X: aaaaaaaaaa\r\n" * 3_000 + b"\r\n",
        b"0\r\n" + b"X:\r\n" * 9_000 + b"\r\n",
        b"0;" + b"a" * 40_000 + b"\r\n\r\n",
        b"3;x=" + b"a" * 40_000 + b"\r\nabc\r\n0\r\n\r\n",
        (b"1;x=" + b"a" * 20_000 + b"\r\na\r\n") * 30 + b"0\r\n\r\n",
        b"1\r\na\r\n" * 120_000 + b"0\r\n\r\n",
    ],
    ids=[
        "trailer",
        "trailers",
        "empty trailers",
        "last extension",
        "extension",
        "extensions",
        "tiny chunks",
    ],
)
@pytest.mark.parametrize("piece_bytes", [1_000_000, 1_460], ids=["at once", "in pieces"])
def test_framing_is_bounded_like_a_head(
    running: RunningServer, end: bytes, piece_bytes: int
) -> None:
    """A trailer of 40 kB once passed: the limit did not hold in a segment with data."""
    whole = BEFORE_THE_END + end
    answer = b""
    with running.connect() as client:
        with contextlib.suppress(ConnectionError):  # it may be closed before the last piece
            for start in range(0, len(whole), piece_bytes):
                client.sendall(whole[start : start + piece_bytes])
        answer = read_all(client)
    assert running.whole == []
    assert piece_bytes < len(whole) or status(answer) == 431


@pytest.mark.parametrize(
    "end",
    [
        b"0\r\nX: " + b"a" * (HEAD_BYTES - 2 * SLICE_BYTES) + b"\r\n\r\n",
        b"3;x=" + b"a" * (HEAD_BYTES - 2 * SLICE_BYTES) + b"\r\nabc\r\n0\r\n\r\n",
        b"1\r\na\r\n" * 65_536 + b"0\r\n\r\n",
    ],
)
def test_framing_within_the_bounds_is_taken(running: RunningServer, end: bytes) -> None:
    with running.connect() as client:
        client.sendall(BEFORE_THE_END + end)
        assert status(read_until(client, b"ok")) == 200


def test_bounds_begin_anew_with_each_request(running: RunningServer) -> None:
    with running.connect() as client:
        for _ in range(3):
            client.sendall(BEFORE_THE_END + b"1\r\na\r\n" * 65_536 + b"0\r\n\r\n")
            assert status(read_until(client, b"ok")) == 200


def test_trailers_are_no_headers(running: RunningServer) -> None:
    running.slow.clear()
    with running.connect() as client:
        client.sendall(
            POST + CHUNKED + b"Connection: close\r\n\r\n3\r\nabc\r\n0\r\nWebhook-Id: x\r\n\r\n"
        )
        running.slow.set()
        assert status(read_all(client)) == 200
    assert running.whole == ["host transfer-encoding connection 3"]


@pytest.mark.parametrize("start", [b"", b"\r\n", b"PO", POST, POST + b"Content-Length: 3\r\n\r\na"])
def test_stalled_request_is_closed(running: RunningServer, start: bytes) -> None:
    begun = time.monotonic()
    answer = running.talk(start)
    assert status(answer) == (408 if start else 0)
    assert time.monotonic() - begun < 5


def drip(client: socket.socket) -> bytes:
    """Send a byte whenever nothing arrives for a moment; return the answer, once it is closed."""
    client.settimeout(0.02)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while True:
            try:
                if not (piece := client.recv(4096)):
                    break
                answer += piece
            except TimeoutError:
                client.sendall(b"a")
    return answer


@pytest.mark.parametrize("start", [POST + b"Content-Length: 1000000\r\n\r\n", GET + b"X: "])
def test_dripping_request_is_closed(running: RunningServer, start: bytes) -> None:
    with running.connect() as client:
        client.sendall(start)
        assert status(drip(client)) == 408
    assert running.whole == []


def test_drip_after_the_answer_is_closed(running: RunningServer) -> None:
    with running.connect() as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        answer = drip(client)
    assert status(answer) == 200
    assert answer.count(b"\r\ndate: ") == 1


def test_aborted_request_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    with (
        opened() as running,
        caplog.at_level(logging.INFO),
    ):  # its own: what it aborted may still be on its way to an end
        for start in (b"PO", POST, POST + b"Content-Length: 3\r\n\r\na", GET + b"\r\n"):
            with running.connect() as client:
                client.sendall(start)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        eventually(
            lambda: "aborted" in running.seen and not running.server.server_state.connections
        )
    assert [
        record.levelname
        for record in caplog.records
        if record.levelno > logging.INFO or record.exc_info
    ] == []


def test_kept_connection_takes_a_second_request(running: RunningServer) -> None:
    with running.connect() as client:
        client.sendall(GET + b"\r\n")
        eventually(lambda: running.whole == ["host 0"])
        assert read_until(client, b"ok").count(b"HTTP/1.1 200") == 1
        client.sendall(GET + b"\r\n")
        assert read_until(client, b"ok").count(b"HTTP/1.1 200") == 1
    assert running.whole == ["host 0", "host 0"]


def test_pipelined_request_is_not_run(running: RunningServer) -> None:
    answer = running.talk((GET + b"\r\n") * 3)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answer
    assert running.whole == ["host 0"]


def test_request_behind_a_body_is_not_run(running: RunningServer) -> None:
    answer = running.talk(POST + b"Content-Length: 0\r\n\r\n" + GET + b"X: smuggled\r\n\r\n")
    assert answer.count(b"\r\ndate: ") == 1
    assert running.whole == ["host content-length 0"]


def test_half_closed_client_is_answered(running: RunningServer) -> None:
    running.slow.clear()
    with running.connect() as client:
        client.sendall(GET + b"\r\n")
        client.shutdown(socket.SHUT_WR)
        running.slow.set()
        assert status(read_all(client)) == 200


def test_idle_connection_is_closed(running: RunningServer) -> None:
    begun = time.monotonic()
    assert status(running.talk(GET + b"\r\n")) == 200
    assert QUICK.idle_s <= time.monotonic() - begun < 5


class CrowdedProtocol(LimitedProtocol):
    limits = dataclasses.replace(QUICK, crowd=3, idle_s=60)


def test_crowd_shortens_idleness() -> None:
    with opened(CrowdedProtocol) as running:
        clients = [running.connect() for _ in range(10)]
        for client in clients:
            client.sendall(GET + b"\r\n")
        eventually(lambda: len(running.server.server_state.connections) <= 3)
        for client in clients:
            client.close()


def test_large_bodies_share_their_memory() -> None:
    class Small(LimitedProtocol):
        limits = dataclasses.replace(
            QUICK, request_s=60, large_body_bytes=1000, large_bodies_bytes=3000
        )
        bodies = Bodies()

    with opened(Small) as running:
        clients = [running.connect() for _ in range(2)]
        for client in clients:
            client.sendall(POST + b"Content-Length: 9999\r\n\r\n" + b"a" * 1400)
        eventually(lambda: Small.bodies.held_bytes == 2800)
        refused = running.talk(POST + b"Content-Length: 9999\r\n\r\n" + b"a" * 1400)
        assert status(refused) == 503
        assert b"\r\nretry-after: " in refused
        assert (
            status(
                running.talk(
                    POST + b"Content-Length: 900\r\nConnection: close\r\n\r\n" + b"a" * 900
                )
            )
            == 200
        )
        for client in clients:
            client.close()
        eventually(lambda: Small.bodies.held_bytes == 0)


UPLOAD = b"POST /upload HTTP/1.1\r\nHost: x\r\n"


def test_upload_may_take_longer_than_other_requests(running: RunningServer) -> None:
    with running.connect() as client:
        begun = time.monotonic()
        client.sendall(UPLOAD + b"Content-Length: 30\r\n\r\n")
        assert status(drip(client)) == 200
    assert time.monotonic() - begun > QUICK.request_s


def test_upload_fills_no_memory() -> None:
    """What comes before the endpoint has allowed it counts: one piece of the connection."""

    class Small(LimitedProtocol):
        limits = dataclasses.replace(QUICK, large_body_bytes=1000, large_bodies_bytes=500_000)
        bodies = Bodies()

    size, end = 2_000_000, b"Connection: close\r\nContent-Length: 2000000\r\n\r\n"
    with opened(Small) as running:
        assert status(running.talk(UPLOAD + end, b"a" * size)) == 200
        assert running.whole[0].endswith(f" {size}")
        assert Small.bodies.held_bytes == 0
        assert status(running.talk(POST + end, b"a" * size)) == 503  # nobody has allowed it


@pytest.mark.parametrize("path", [b"/upload", b"/upload/early"])
def test_upload_that_stalls_is_closed(running: RunningServer, path: bytes) -> None:
    begin = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\na"
    begun = time.monotonic()
    answer = running.talk(begin)
    assert status(answer) == (200 if path.endswith(b"early") else 408)
    assert time.monotonic() - begun < 5


def test_whole_upload_has_an_end(running: RunningServer) -> None:
    with running.connect() as client:
        client.sendall(UPLOAD + b"Content-Length: 1000000\r\n\r\n")
        assert status(drip(client)) == 408
    assert running.whole == []


@pytest.mark.parametrize(("chunk", "expected"), [(1, 431), (1000, 200)])
def test_upload_may_have_framing_in_proportion(chunk: int, expected: int) -> None:
    class Narrow(LimitedProtocol):
        limits = dataclasses.replace(QUICK, framing_bytes=1000)

    body = (b"%x\r\n%b\r\n" % (chunk, b"a" * chunk)) * 1000 + b"0\r\n\r\n"
    head = b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    with opened(Narrow) as running:
        assert status(running.talk(UPLOAD + head, body)) == expected
        assert status(running.talk(POST + head, body)) == 431


def test_answer_to_an_upload_may_take_long() -> None:
    class Impatient(LimitedProtocol):
        limits = dataclasses.replace(QUICK, answer_s=0.1, upload_answer_s=60)

    with opened(Impatient) as running, running.connect() as client:
        running.slow.clear()
        client.sendall(UPLOAD + b"Connection: close\r\nContent-Length: 1\r\n\r\na")
        client.settimeout(1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        running.slow.set()
        assert status(read_all(client)) == 200


def test_stop_waits_for_no_upload() -> None:
    class Patient(LimitedProtocol):
        limits = HttpLimits(stop_s=0.3, tick_s=0.05)

    with opened(Patient) as running, running.connect() as client:
        client.sendall(UPLOAD + b"Content-Length: 1000000\r\n\r\n")
        eventually(lambda: len(running.server.server_state.connections) == 1)
        dripping = threading.Thread(target=drip, args=(client,))
        dripping.start()
        running.server.should_exit = True
        running.thread.join(5)
        assert not running.thread.is_alive()
        dripping.join()


def test_late_answer_is_given_up() -> None:
    class Impatient(LimitedProtocol):
        limits = dataclasses.replace(QUICK, answer_s=0.3)

    with opened(Impatient) as running:
        running.slow.clear()
        begun = time.monotonic()
        assert running.talk(GET + b"\r\n") == b""
        assert time.monotonic() - begun < 5


def test_stop_waits_for_no_slow_client() -> None:
    class Patient(LimitedProtocol):
        limits = HttpLimits(stop_s=0.3, tick_s=0.05)

    with opened(Patient) as running:
        starts = [b"", b"PO", POST, POST + b"Content-Length: 3\r\n\r\na", GET + b"\r\n"]
        clients = [running.connect() for _ in starts]
        for client, start in zip(clients, starts, strict=True):
            client.sendall(start)
        eventually(lambda: len(running.server.server_state.connections) == len(starts))
        assert status(clients[-1].recv(4096)) == 200
        running.server.should_exit = True
        running.thread.join(5)
        assert not running.thread.is_alive()
        for client in clients:
            client.close()
