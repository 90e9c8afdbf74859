"""A key set endpoint for real processes, and a port that must stay silent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CallLog:
    """A server on loopback with one answer, a document or a redirect elsewhere; it writes down each GET."""

    def __init__(self, document: bytes = b"{}", elsewhere: str = "") -> None:
        self.calls: list[str] = []  # request lines
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                calls.append(self.requestline)
                self.send_response(302 if elsewhere else 200)
                if elsewhere:
                    self.send_header("location", elsewhere)
                self.send_header("content-length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, *_: object) -> None:
                """Tests are quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def serving_calls(document: bytes = b"{}", elsewhere: str = "") -> Iterator[CallLog]:
    log = CallLog(document, elsewhere)
    with log.server:
        threading.Thread(target=log.server.serve_forever, args=(0.01,), daemon=True).start()
        yield log
        log.server.shutdown()
