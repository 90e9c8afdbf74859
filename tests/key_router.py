"""One address of Gemini for several projects: each API key sees the stand-in of its own project."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@dataclass
class KeyRouter:
    """`calls` fills up with (key, path); a key among `broken` gets 503."""

    stand_ins: Mapping[str, str]  # API key to URL
    url: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def answer(self, key: str, path: str) -> tuple[int, str, bytes]:
        self.calls.append((key, path))
        if key not in self.stand_ins:
            return 403, "application/json", b'{"error":{"code":403,"status":"PERMISSION_DENIED","message":"no"}}'
        if key in self.broken:
            return 503, "application/json", b'{"error":{"code":503,"status":"UNAVAILABLE","message":"later"}}'
        found = httpx.get(self.stand_ins[key] + path, headers={"x-goog-api-key": key}, trust_env=False)
        return found.status_code, found.headers.get("content-type", "application/octet-stream"), found.content


@contextmanager
def routing_keys(stand_ins: Mapping[str, str]) -> Iterator[KeyRouter]:
    router = KeyRouter(stand_ins)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = router.answer(self.headers.get("x-goog-api-key", ""), self.path)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        router.url = f"http://127.0.0.1:{server.server_port}"
        yield router
        server.shutdown()
