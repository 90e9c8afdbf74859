"""`python -m tests.object_server PORT [keep]`: serves until it is stopped."""

import asyncio
import gc
import json
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop

from tests.object_server.bucket import Answer, Bucket, Request, failure
from tests.object_server.faults import Fault, Knobs, Misfortune

CONTROL = "/-/"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close sends RST
REASONS = {
    "slow-down": (503, "SlowDown"),
    "too-many": (429, "TooManyRequests"),
    "internal": (500, "InternalError"),
    "denied": (403, "AccessDenied"),
    "missing": (404, "NoSuchBucket"),
}


@dataclass
class Counts:
    """Since the knobs were last turned."""

    requests: Counter[str] = field(default_factory=Counter)  # of each kind
    faults: Counter[str] = field(default_factory=Counter)  # of each kind of request
    seconds: Counter[int] = field(default_factory=Counter)  # requests in each second
    in_flight: int = 0
    most_in_flight: int = 0
    body_bytes: int = 0
    begun: float = field(default_factory=time.monotonic)

    def begin(self, kind: str, size: int) -> None:
        self.requests[kind] += 1
        self.seconds[int(time.monotonic() - self.begun)] += 1
        self.body_bytes += size
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)


class Service:
    def __init__(self, *, keep: bool) -> None:
        self.bucket = Bucket(keep=keep)
        self.misfortune = Misfortune()
        self.counts = Counts()

    def control(self, request: Request) -> Answer:
        """Turn the knobs (POST), or say what was seen (GET)."""
        if request.method == "POST":
            knobs = json.loads(request.body)
            if knobs.pop("empty", False):
                self.bucket = Bucket(keep=self.bucket.keep)
            self.misfortune = Misfortune(
                Knobs(**knobs | ({"on": tuple(knobs["on"])} if "on" in knobs else {}))
            )
            self.counts = Counts(in_flight=self.counts.in_flight)
        objects, seconds = self.bucket.objects, self.counts.seconds
        said = vars(self.counts) | {
            "seconds": [seconds[second] for second in range(max(seconds, default=-1) + 1)],
            "objects": len(objects),
            "object_bytes": sum(each.size for each in objects.values()),
            "open_uploads": len(self.bucket.uploads),
        }
        return Answer(200, json.dumps(said).encode())


class Connection(asyncio.Protocol):
    """One request after the other, as clients of S3 send them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._target = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if b"expect" in self._headers:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method, body = self._parser.get_method().decode(), b"".join(self._body)
        self._body = []
        request = Request.parse(method, self._target.decode(), self._headers, body)
        if request.path.startswith(CONTROL):
            self._send(self._service.control(request))
            return
        kind, service = request.kind, self._service
        fault = service.misfortune.strike(kind)
        counts = service.counts
        counts.begin(kind, len(body))
        if fault:
            counts.faults[kind] += 1
        answer = service.bucket.answer(request) if fault in {"", "lost"} else self._refusal(fault)
        delay_s = service.misfortune.knobs.delay_ms / 1000
        if delay_s:
            self._loop.call_later(delay_s, self._finish, fault, answer)
        else:
            self._finish(fault, answer)

    def _refusal(self, fault: Fault) -> Answer:
        after = self._service.misfortune.knobs.retry_after_s
        headers = (
            f"Retry-After: {after}\r\n" if after and fault in {"slow-down", "too-many"} else ""
        )
        return failure(*REASONS[fault], headers) if fault in REASONS else Answer(500)

    def _finish(self, fault: Fault, answer: Answer) -> None:
        self._service.counts.in_flight -= 1  # the counts may be others than at its begin
        if fault in {"reset", "lost"}:
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, RESET
            )
            self._transport.abort()
        elif fault != "hang":
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        size = len(answer.body) if answer.size < 0 else answer.size
        head = f"HTTP/1.1 {answer.status} Said\r\nContent-Length: {size}\r\n{answer.headers}\r\n"
        if not self._transport.is_closing():
            self._transport.write(head.encode() + answer.body)


async def serve(port: int, *, keep: bool) -> None:
    service = Service(keep=keep)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(service), "127.0.0.1", port, backlog=1024
    )
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), keep="keep" in sys.argv[2:]))
