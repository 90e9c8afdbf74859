"""Downloads of result files, whole or in ranges, with all faults that a download can have."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import HEADERS

MEDIA_TYPE = "application/jsonl"
BLOCK_BYTES = 1 << 20
GZIP_WINDOW = 31  # zlib's number for a gzip header and trailer


class _Blocks(FileResponse):
    chunk_size = BLOCK_BYTES  # the default of 64 KiB would cost a thread switch per piece


class _EnoughError(Exception):
    """Raised to cut a response."""


class _Wrapped(Response):
    """Wraps a response and passes its messages through `change`."""

    def __init__(
        self, inner: Response, change: Callable[[Send], Send], *, range_hidden: bool = False
    ) -> None:
        super().__init__()
        self._inner = inner
        self._change = change
        self._range_hidden = range_hidden

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._range_hidden:
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}
        try:
            await self._inner(scope, receive, self._change(send))
        except* _EnoughError:
            pass  # uvicorn sees an unfinished answer and closes the connection


def download_answer(request: Request, path: Path, faults: Faults) -> Response:
    """The file at `path` with the faults that apply now. Starlette handles Range and ETag."""
    redirect = faults.take_fault("redirect_downloads")
    if redirect is not None:
        target = f"{redirect.to.rstrip('/')}{request.url.path}?{request.url.query}"
        return RedirectResponse(target, 302, headers=HEADERS)
    if "gzip" in request.headers.get("accept-encoding", "") and faults.take("gzip_downloads"):
        headers = {**HEADERS, "content-encoding": "gzip"}
        return StreamingResponse(_gzip_blocks(path), headers=headers, media_type=MEDIA_TYPE)
    answer: Response = _Blocks(
        path, headers=HEADERS, media_type=MEDIA_TYPE, stat_result=path.stat()
    )
    if "range" in request.headers:
        if faults.take("ignore_range"):
            answer = _Wrapped(answer, lambda send: send, range_hidden=True)
        elif faults.take("wrong_range"):
            answer = _Wrapped(answer, _shift_range)
    if faults.take("chunked_downloads"):
        answer = _Wrapped(answer, _drop_length)
    cut = faults.take_fault("cut_download_after")
    if cut is not None:
        answer = _Wrapped(answer, lambda send: _cut(send, cut.bytes))
    drip = faults.take_fault("drip_downloads")
    if drip is not None:
        answer = _Wrapped(answer, lambda send: _drip(send, drip.bytes_per_s))
    return answer


async def _gzip_blocks(path: Path) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(wbits=GZIP_WINDOW)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield await asyncio.to_thread(packer.compress, block)
    yield packer.flush()


def _cut(send: Send, limit_bytes: int) -> Send:
    left = limit_bytes

    async def cutting(message: Message) -> None:
        nonlocal left
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or len(body) < left:
            left -= len(body)
            await send(message)
            return
        await send({"type": "http.response.body", "body": body[:left], "more_body": True})
        raise _EnoughError

    return cutting


def _drip(send: Send, bytes_per_s: int) -> Send:
    async def dripping(message: Message) -> None:
        body = message.get("body", b"")
        for start in range(0, len(body), bytes_per_s):
            piece = body[start : start + bytes_per_s]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(1)
        await send({**message, "body": b""} if body else message)

    return dripping


def _drop_length(send: Send) -> Send:
    async def without_length(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {
                **message,
                "headers": [pair for pair in message["headers"] if pair[0] != b"content-length"],
            }
        await send(message)

    return without_length


def _shift_range(send: Send) -> Send:
    async def shifted(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [_shift_header(*pair) for pair in message["headers"]]}
        await send(message)

    return shifted


def _shift_header(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name != b"content-range":
        return name, value
    start, _, rest = value.removeprefix(b"bytes ").partition(b"-")
    return name, b"bytes %d-%b" % (int(start) + 1, rest)
