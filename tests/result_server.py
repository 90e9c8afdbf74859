"""A small HTTP server of one result file; a test switches how its answers are framed, named, encoded and ranged."""

import asyncio
import gzip
import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from deploy.sandbox.processes import allocate_port
from tests.fault_proxy import serving

Framing = Literal["length", "chunked", "close"]
PIECE_BYTES = 32 * 1024
RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]  # names in lower case


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    framing: Framing = "length"


AnswerFault = Callable[[Seen, Answer], Answer]


@dataclass
class ResultServer:
    """Attributes may be changed while it runs; `faults` are used up one a request, before the answer is sent."""

    port: int
    content: bytes
    ranges: bool = True
    framing: Framing = "length"
    etag: bool = True
    encoding: str | None = None  # "gzip", or a name that is only claimed
    faults: deque[AnswerFault] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self, content: bytes) -> None:
        """Serve `content` in the best way, as if just started."""
        vars(self).update(vars(ResultServer(self.port, content)))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = _parse_request(await reader.readuntil(b"\r\n\r\n"))
        self.seen.append(request)
        answer = self._answer(request)
        if self.faults:
            answer = self.faults.popleft()(request, answer)
        await _send(writer, answer)

    def _answer(self, request: Seen) -> Answer:
        content, headers = self.content, {}
        if self.encoding:
            content = gzip.compress(content, 6) if self.encoding == "gzip" else content
            headers["content-encoding"] = self.encoding
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if self.etag:
            headers["etag"] = etag
        match = RANGE.fullmatch(request.headers.get("range", ""))
        if not self.ranges or not match or request.headers.get("if-range", etag) != etag:
            return Answer(200, headers, content, self.framing)
        start = int(match[1])
        if start >= len(content):
            return Answer(416, {"content-range": f"bytes */{len(content)}"}, b"")
        headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Answer(206, headers, content[start:], self.framing)


def _parse_request(head: bytes) -> Seen:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Seen(first.split(" ")[1], {name.lower(): value.strip() for name, _, value in pairs})


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    headers = {"connection": "close", **answer.headers}
    if answer.framing == "length":
        headers.setdefault("content-length", str(len(answer.body)))
    elif answer.framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    lines = [
        f"HTTP/1.1 {answer.status} Said",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode())
    for start in range(0, len(answer.body), PIECE_BYTES):
        piece = answer.body[start : start + PIECE_BYTES]
        writer.write(
            b"%x\r\n%b\r\n" % (len(piece), piece) if answer.framing == "chunked" else piece
        )
        await writer.drain()
    if answer.framing == "chunked":
        writer.write(b"0\r\n\r\n")
    await writer.drain()


@contextmanager
def result_server(content: bytes) -> Iterator[ResultServer]:
    server = ResultServer(allocate_port(), content)
    with serving(server.handle, server.port):
        yield server
