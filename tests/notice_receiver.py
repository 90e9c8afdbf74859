"""A receiver of notices, which verifies each with `standardwebhooks`: in the test itself, or as a process.

`python -m tests.notice_receiver PORT FILE SECRET` leaves a line of JSON in FILE for every notice that it verified
before it answers, and one with `refused` for what it could not verify.
"""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from deploy.sandbox.processes import allocate_port, start, stop
from tests.waiting import eventually

Answer = tuple[int, dict[str, str], bytes]
OK: Answer = (204, {}, b"")


@dataclass(frozen=True)
class ReceivedNotice:
    """One POST as it arrived."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verify(self, secret: str) -> None:
        """Raises WebhookVerificationError."""
        Webhook(secret).verify(self.body, self.headers)

    def verify_asymmetric(self, public_key: str) -> None:
        """By `whpk_…`, which the library does not know yet. Raises InvalidSignature."""
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
        moment = self.headers["webhook-timestamp"]
        (signature,) = [
            text
            for version, _, text in (
                entry.partition(",") for entry in self.headers["webhook-signature"].split(" ")
            )
            if version == "v1a"
        ]
        signed = f"{self.message_id}.{moment}.".encode() + self.body
        key.verify(base64.b64decode(signature), signed)


@dataclass
class Receiver:
    """`answer` may be changed while it runs."""

    port: int
    answer: Callable[[ReceivedNotice], Answer] = lambda _: OK
    received: list[ReceivedNotice] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/notices"


@contextmanager
def receiving(port: int | None = None) -> Iterator[Receiver]:
    """Serve on loopback for the length of a `with`; then the port refuses connections."""
    receiver = Receiver(port or allocate_port())
    with ThreadingHTTPServer(("127.0.0.1", receiver.port), make_handler(receiver)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield receiver
        server.shutdown()


def make_handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            received = ReceivedNotice(
                self.path, {name.lower(): value for name, value in self.headers.items()}, body
            )
            receiver.received.append(received)
            status, headers, content = receiver.answer(received)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.send_response(405)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    return Handler


def start_receiver(port: int, file: Path, secret: str) -> "subprocess.Popen[bytes]":
    process = start([sys.executable, "-m", "tests.notice_receiver", str(port), str(file), secret])
    eventually(lambda: is_listening(port), 20, "the start of the receiver of notices")
    return process


@contextmanager
def running_receiver(port: int, file: Path, secret: str) -> Iterator[int]:
    """The receiver as a process; gives its process id."""
    process = start_receiver(port, file, secret)
    try:
        yield process.pid
    finally:
        stop(process)


def is_listening(port: int) -> bool:
    return f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()


def read_received(file: Path) -> list[dict[str, Any]]:
    """What a process has heard so far; a line that was cut by a kill was never acknowledged."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def main(port: str, file: str, secret: str) -> None:
    def note(received: ReceivedNotice) -> Answer:
        try:
            received.verify(secret)
            line = {"id": received.message_id, "at": time.time(), **received.payload}
        except (WebhookVerificationError, ValueError) as error:
            line = {"refused": str(error)}
        with Path(file).open("a") as notes:
            notes.write(json.dumps(line) + "\n")
        return (400, {}, b"") if "refused" in line else OK

    receiver = Receiver(int(port), note)
    ThreadingHTTPServer(("127.0.0.1", receiver.port), make_handler(receiver)).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
