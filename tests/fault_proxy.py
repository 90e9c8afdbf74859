"""A TCP proxy that breaks connections at exact bytes, as networks, balancers and dying servers do."""

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from deploy.sandbox.processes import allocate_port

Kind = Literal["none", "reset", "close", "stall", "drip"]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BLOCK_BYTES = 64 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds


@dataclass(frozen=True)
class Fault:
    """What happens to one connection."""

    kind: Kind = "none"
    after_bytes: int = 0  # of what the server sends, headers included
    drip_s: float = 0.02  # between two bytes of a drip


@dataclass
class FaultProxy:
    """Forwards to `upstream_port`; each connection takes the next fault of the plan, and none once it is used up."""

    port: int
    upstream_port: int
    plan: deque[Fault] = field(default_factory=deque)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self, *plan: Fault) -> None:
        self.plan, self.connections = deque(plan), 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fault = self.plan.popleft() if self.plan else Fault()
        writer.transport.set_write_buffer_limits(
            0
        )  # drain() means then that the kernel has every byte
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        upward = asyncio.create_task(_pump(reader, to_server))
        try:
            await _pump_with_fault(from_server, writer, fault, upward)
        finally:
            upward.cancel()
            to_server.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(BLOCK_BYTES):
            writer.write(data)
            await writer.drain()


async def _pump_with_fault(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    fault: Fault,
    client_gone: "asyncio.Task[None]",
) -> None:
    left = fault.after_bytes
    while data := await reader.read(BLOCK_BYTES):
        if fault.kind == "none" or len(data) < left:
            writer.write(data)
            await writer.drain()
            left -= len(data)
            continue
        writer.write(data[:left])
        await writer.drain()
        if fault.kind == "reset":
            _reset(writer)
        elif fault.kind == "stall":
            await client_gone
        elif fault.kind == "drip":
            await _drip(data[left:], reader, writer, fault.drip_s)
        return


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


async def _drip(
    rest: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause_s: float
) -> None:
    while rest:
        for position in range(len(rest)):
            writer.write(rest[position : position + 1])
            await writer.drain()  # raises once the client has gone
            await asyncio.sleep(pause_s)
        rest = await reader.read(BLOCK_BYTES)


@contextmanager
def serving(handler: Handler, port: int) -> Iterator[None]:
    """An asyncio server of loopback in a thread of its own, for the length of a `with`."""
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()
    handlers = set[
        "asyncio.Task[None] | None"
    ]()  # asyncio itself may forget one whose peer has half closed

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(task := asyncio.current_task())
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()
            handlers.discard(task)

    async def serve() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", port)
        started.set()
        await stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted connections are closed in the loop's next turn

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10), f"nothing listens on port {port}"
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@contextmanager
def fault_proxy(upstream_port: int) -> Iterator[FaultProxy]:
    proxy = FaultProxy(allocate_port(), upstream_port)
    with serving(proxy.handle, proxy.port):
        yield proxy
