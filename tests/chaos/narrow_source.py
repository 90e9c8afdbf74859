"""A line to Gemini of limited width: so much a second for each connection, and so much for all of them together."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from deploy.sandbox.processes import allocate_port
from tests.fault_proxy import serving

SLICE_S = 0.02


@dataclass
class Budget:
    """Bytes that may pass."""

    bytes_per_s: float
    _free_at: float = 0  # when all that was taken has passed

    def take(self, size_bytes: int) -> float:
        """Seconds to wait before these bytes may pass."""
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + size_bytes / self.bytes_per_s
        return self._free_at - now


@dataclass
class NarrowSource:
    port: int
    upstream_port: int
    each_bytes_per_s: float
    all_of_them: Budget

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        upward = asyncio.create_task(_pass_on(reader, to_server))
        mine = Budget(self.each_bytes_per_s)
        try:
            while data := await from_server.read(max(1, int(self.each_bytes_per_s * SLICE_S))):
                await asyncio.sleep(max(mine.take(len(data)), self.all_of_them.take(len(data))))
                writer.write(data)
                await writer.drain()
        finally:
            upward.cancel()
            to_server.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def narrow_source(
    upstream_port: int, each_bytes_per_s: float, all_bytes_per_s: float
) -> Iterator[NarrowSource]:
    source = NarrowSource(allocate_port(), upstream_port, each_bytes_per_s, Budget(all_bytes_per_s))
    with serving(source.handle, source.port):
        yield source
