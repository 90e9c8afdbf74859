"""A proxy on loopback, as networks have it whose machines may not call others: it notes what it is asked for."""

import base64
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.forwarding import HOP, UPSTREAM

USER, PASSWORD = "tester", "canary-of-the-proxy"
VARIABLES = tuple(
    one
    for name in ("HTTP", "HTTPS", "ALL", "NO")
    for one in (f"{name}_PROXY", f"{name}_proxy".lower())
)
Seen = tuple[str, str]  # method and target, such as ("CONNECT", "gemini.example.test:443")


@dataclass
class OutgoingProxy:
    """Whatever host is asked for, a local port answers; a host that is not in `ports` is refused."""

    port: int
    ports: Mapping[str, int]
    password: str = ""
    seen: list[Seen] = field(default_factory=list)
    bytes_seen: bytearray = field(default_factory=bytearray)  # all that clients sent

    @property
    def url(self) -> str:
        user = f"{USER}:{self.password}@" if self.password else ""
        return f"http://{user}127.0.0.1:{self.port}"

    def enter(self, monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
        """Set these variables in this process, and no other one of a proxy."""
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: OutgoingProxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _may_pass(self) -> bool:
        proxy = self.server.proxy
        proxy.seen.append((self.command, self.path))
        proxy.bytes_seen += bytes(self.headers)
        sent = self.headers.get("proxy-authorization", "")
        expected = base64.b64encode(f"{USER}:{proxy.password}".encode()).decode()
        if proxy.password and sent != f"Basic {expected}":
            self.send_error(407)
            return False
        return True

    def do_CONNECT(self) -> None:
        if not self._may_pass():
            return
        port = self.server.proxy.ports.get(self.path.partition(":")[0])
        if port is None:
            self.send_error(502)
            return
        self.close_connection = True
        with socket.create_connection(("127.0.0.1", port)) as outside:
            self.send_response(200)
            self.end_headers()
            threading.Thread(
                target=_copy, args=(outside, self.connection, bytearray()), daemon=True
            ).start()
            _copy(self.connection, outside, self.server.proxy.bytes_seen)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        port = self.server.proxy.ports.get(urlsplit(self.path).hostname or "")
        if not self._may_pass():
            return
        if port is None:
            self.send_error(502)
            return
        parts = urlsplit(self.path)
        url = parts._replace(scheme="http", netloc=f"127.0.0.1:{port}").geturl()
        sent = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        said = UPSTREAM.request(self.command, url, content=body, headers=sent)
        self.send_response(said.status_code)
        for name, value in said.headers.items():
            if name not in HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(said.content)))
        self.end_headers()
        self.wfile.write(said.content)

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


def _copy(source: socket.socket, target: socket.socket, seen: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            seen += data
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def outgoing_proxy(
    ports: Mapping[str, int] | None = None, password: str = ""
) -> Iterator[OutgoingProxy]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.proxy = OutgoingProxy(server.server_port, ports or {}, password)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server.proxy
        finally:
            server.shutdown()
