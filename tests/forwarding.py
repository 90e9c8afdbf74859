"""A gate before the stand-in of Gemini, which can lose an answer or a request, hold a request back, or refuse it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

HOP = frozenset(
    {
        "host",
        "content-length",
        "connection",
        "transfer-encoding",
        "content-encoding",
        "date",
        "server",
    }
)
# One for all, for a client of its own takes 20 ms to make; a connection each, as if it were one.
UPSTREAM = httpx.Client(
    verify=False,
    trust_env=False,
    timeout=30,
    limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
)
REFUSAL = httpx.Response(429, json={"error": {"status": "RESOURCE_EXHAUSTED", "message": "full"}})


@dataclass
class Gate:
    """What happens to a request whose path holds `where`, and which is a `method` if that is said; all others pass."""

    upstream: str
    where: str = ":batchGenerateContent"
    what: Literal["pass", "lose", "drop", "hold", "refuse"] = (
        "pass"  # "drop": the request never arrives
    )
    method: str = ""
    url: str = ""
    refusal: httpx.Response = REFUSAL
    held: threading.Event = field(
        default_factory=threading.Event
    )  # set once a request is held back
    is_over: threading.Event = field(default_factory=threading.Event)
    hear: Callable[[str], None] = lambda _path: (
        None
    )  # told of each request that changes something, before it is sent on
    paths: list[str] = field(default_factory=list)  # of the requests that changed something

    def count(self, part: str) -> int:
        return sum(part in path for path in self.paths)

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response | None:
        """What Gemini says; None when nobody hears it."""
        what = self.what if self.where in path and self.method in ("", method) else "pass"
        if what == "refuse":
            return self.refusal
        if what == "drop":
            return None
        if what == "hold":
            self.held.set()
            self.is_over.wait(60)
            return None
        if method != "GET":
            self.hear(path)
            self.paths.append(path)
        sent = {name: value for name, value in headers.items() if name.lower() not in HOP}
        said = UPSTREAM.request(method, self.upstream + path, content=body, headers=sent)
        return None if what == "lose" else said


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, gate: Gate) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gate = gate


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        gate, body = self.server.gate, self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = gate.answer(self.command, self.path, dict(self.headers), body)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in HOP:
                self.send_header(name, value.replace(gate.upstream, gate.url))
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def gate_before(upstream: str) -> Iterator[Gate]:
    gate = Gate(upstream)
    with _Server(gate) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        gate.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield gate
        finally:
            gate.is_over.set()
            server.shutdown()
