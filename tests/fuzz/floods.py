"""Bodies and headers without end against the real `serve` process. They are refused, and its memory stays flat."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.chaos.report import Report
from tests.fuzz.requests import STATUS_LINE
from tests.fuzz.stage import open_stage, running_server

PIECE = b"a" * 65536
HEAD = b"POST /webhooks/gemini HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
MEMORY_BAR_BYTES = 32 * 1024 * 1024
TIMEOUT_S = 60.0


def flood(folder: Path, seed: int, megabytes: int) -> Report:
    """A body of so many megabytes in chunks, one with its length before it, and a header of a fifth of that."""
    report = Report("floods", seed)
    size = megabytes * 1024 * 1024
    chunk = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
    floods = {
        "chunked": (413, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, size),
        "with a length": (413, HEAD + b"Content-Length: %d\r\n\r\n" % size, PIECE, size),
        "header": (431, HEAD + b"X: ", PIECE, size // 5),
    }
    report.note(megabytes=megabytes)
    with open_stage(folder, seed) as stage, running_server(stage) as server:
        for name, (expected, start, piece, amount) in floods.items():
            before = server.memory_bytes()
            sent, statuses = asyncio.run(_pour(server.port, start, piece, amount))
            grown = server.memory_bytes("VmHWM") - before
            report.note(
                **{name: f"{statuses} after {sent / 1e6:.0f} MB, grown by {grown / 1e6:.1f} MB"}
            )
            report.hold(f"{name}: {expected}", statuses == [expected])
            report.hold(f"{name}: memory stays flat", grown < MEMORY_BAR_BYTES)
    return report


async def _pour(port: int, start: bytes, piece: bytes, amount: int) -> tuple[int, list[int]]:
    """Send until all is sent or the server closes. Gives the bytes sent and the statuses that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = asyncio.create_task(_read_all(reader))
    sent = 0
    with suppress(OSError):
        for part in (start, *_repeated(piece, amount)):
            writer.write(part)
            await writer.drain()
            sent += len(part)
        writer.write_eof()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return sent, [int(found) for found in STATUS_LINE.findall(await answered)]
    finally:
        writer.transport.abort()


def _repeated(piece: bytes, amount: int) -> Iterator[bytes]:
    for _ in range(amount // len(piece)):
        yield piece


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    with suppress(OSError):
        while piece := await reader.read(65536):
            answer += piece
    return bytes(answer)
