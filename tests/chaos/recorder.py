"""Stands between our processes and Valkey, and writes down every call of a script, in order.

    python -m tests.chaos.recorder PORT VALKEY_PORT TRACE FAULT

A process that is killed right after its call has changed Redis all the same, and could not write
that down; Valkey's MONITOR tells no replies. A proxy sees both, also of what was killed, and the
product needs no switch for it. One script runs at a time, so the order of the trace is that of the
server; each comes as `tests.model.tracing` has it, and gets its own reply back.

TRACE gets a line of JSON for each call, each wipe, and all of Redis: at the end, and whenever a
call had been cut off, so that nobody knows whether it ran. FAULT is the name of one of
`tests.model.faults`, which is planted in the scripts; empty where none is.
"""

import asyncio
import hashlib
import json
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.resp import END, encode, parse, read_value
from tests.model.faults import FAULTS
from tests.model.redis_state import DUMP, text
from tests.model.tracing import scripts, traced

WIPES = {b"FLUSHALL", b"FLUSHDB"}
STREAMS = {b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"MONITOR", b"SYNC", b"PSYNC"}
# Errors that say that nothing was run.
NOT_RUN = ("NOSCRIPT", "LOADING", "READONLY", "MASTERDOWN", "BUSY", "NOAUTH")
TIMED_DUMP = (
    f"local function dump() {DUMP} end local at = redis.call('TIME') return {{ at, dump() }}"
)
LIMIT = 2**26
LOOK_AGAIN_S = 0.02


@dataclass(frozen=True)
class Known:
    """A script of ours, and the one that runs in its place."""

    name: str
    sha: bytes
    text: bytes
    traced_sha: bytes


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data).hexdigest().encode()


def know_scripts(fault: str = "") -> dict[bytes, Known]:
    """By their sha and by their text."""
    planted = [one for one in FAULTS if one.name == fault]
    found = dict[bytes, Known]()
    for name, script in scripts().items():
        wrong = planted[0].plant(script) if planted else script
        instead = traced(wrong).encode()
        known = Known(name, sha1(script.encode()), instead, sha1(instead))
        found |= {known.sha: known, script.encode(): known}
    return found


@dataclass
class Step:
    """A command that is written down."""

    args: list[bytes]
    known: Known | None  # None: a wipe
    sent_ms: int = 0
    is_answered: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Recorder:
    valkey_port: int
    trace: Path
    known: dict[bytes, Known]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_unsure: bool = False  # whether a call was cut off since all of Redis was written down

    def write(self, **line: Any) -> None:
        with self.trace.open("a") as file:
            file.write(json.dumps(line) + "\n")

    async def write_state(self) -> None:
        """All of Redis, if it answers."""
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await connect(self.valkey_port)
            writer.write(encode([b"EVAL", TIMED_DUMP.encode(), b"0"]))
            answer, _ = parse(await read_value(reader))
            writer.close()
            if isinstance(answer, list):  # else it reads its own file first
                at, found = answer
                self.write(now_ms=read_ms(at), state=readable(found))
                self.is_unsure = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up = await connect(self.valkey_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), up)
        await link.run()

    def record(self, step: Step, answer: bytes) -> bytes:
        """Write a step down. Gives what its sender gets."""
        if step.known is None:
            self.write(wipe=text(step.args[0]))
            return answer
        told, _ = parse(answer)
        if isinstance(told, ValueError):
            if not str(told).startswith(NOT_RUN):
                self.write(**describe(step), error=str(told))
            return answer
        seconds, microseconds, reply, states = told
        now_ms = read_ms((seconds, microseconds))
        line = {"now_ms": now_ms, "reply": readable(reply), "states": readable(states)}
        self.write(**describe(step), **line)
        return third(answer)

    def lose(self, step: Step) -> None:
        """Nobody knows whether it was run."""
        self.is_unsure = True
        if step.known is not None:
            self.write(**describe(step), lost=[step.sent_ms, wall_ms()])


def describe(step: Step) -> dict[str, Any]:
    assert step.known is not None
    count = int(step.args[2])
    keys, args = step.args[3 : 3 + count], step.args[3 + count :]
    return {"script": step.known.name, "keys": readable(keys), "args": readable(args)}


def readable(value: Any) -> Any:
    if isinstance(value, list):
        return [readable(part) for part in value]
    return text(value) if isinstance(value, bytes) else value


def read_ms(at: Sequence[bytes]) -> int:
    return int(at[0]) * 1000 + int(at[1]) // 1000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def third(answer: bytes) -> bytes:
    """The bytes of the third value of a list."""
    at = answer.index(END) + len(END)
    for _ in range(2):
        _, at = parse(answer, at)
    _, end = parse(answer, at)
    return answer[at:end]


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(port: int) -> Stream:
    return await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)


class Link:
    """One connection of a process of ours, and its own to Valkey."""

    def __init__(self, recorder: Recorder, down: Stream, up: Stream) -> None:
        self._recorder = recorder
        self._reader, self._writer = down
        self._up_reader, self._up_writer = up
        # What Valkey has not answered yet; bytes are the answer that stands for its own.
        self._sent: deque[Step | bytes | None] = deque()
        self._is_stream = self._is_cut = False

    async def run(self) -> None:
        answers = asyncio.create_task(self._bring_answers())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._send(await read_value(self._reader))
        self._up_writer.close()  # after all that was sent: Valkey reads that first, as ever
        await answers

    async def _send(self, raw: bytes) -> None:
        args: Any = parse(raw)[0]
        words: list[bytes] = args if isinstance(args, list) and args else [raw]
        name = words[0].upper()
        known = self._recorder.known.get(words[1]) if len(words) > 1 else None
        if name in WIPES or (known and name in {b"EVALSHA", b"EVAL"}):
            await self._take_step(Step(words, None if name in WIPES else known))
            return
        self._is_stream |= name in STREAMS
        known = self._recorder.known.get(words[2]) if len(words) > 2 else None
        if known and name == b"SCRIPT":
            self._sent.append(b"$%d\r\n%b\r\n" % (len(known.sha), known.sha))
            self._up_writer.write(encode([*words[:2], known.text]))
            return
        self._sent.append(None)
        self._up_writer.write(raw)

    async def _take_step(self, step: Step) -> None:
        recorder = self._recorder
        async with recorder.turn:
            while recorder.is_unsure and not self._is_cut:
                # A server that reads its file first says no: what it is asked next would come
                # before the look that decides what ran.
                await recorder.write_state()
                await asyncio.sleep(LOOK_AGAIN_S if recorder.is_unsure else 0)
            if self._is_cut:
                raise ConnectionError
            step.sent_ms = wall_ms()
            self._sent.append(step)
            self._up_writer.write(encode(_instead(step)))
            await step.is_answered.wait()

    async def _bring_answers(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self._forward(await read_value(self._up_reader))
        self._is_cut = True
        for step in self._sent:
            if isinstance(step, Step):
                self._recorder.lose(step)
                step.is_answered.set()
        self._writer.close()

    def _forward(self, answer: bytes) -> None:
        is_push = answer.startswith(b">") or self._is_stream
        step = None if is_push or not self._sent else self._sent.popleft()
        if isinstance(step, Step):
            self._writer.write(self._recorder.record(step, answer))
            step.is_answered.set()
        else:
            self._writer.write(step if step and not answer.startswith(b"-") else answer)


def _instead(step: Step) -> list[bytes]:
    """The command that Valkey gets."""
    if step.known is None:
        return step.args
    is_sha = step.args[0].upper() == b"EVALSHA"
    return [step.args[0], step.known.traced_sha if is_sha else step.known.text, *step.args[2:]]


async def record(port: int, valkey_port: int, trace: Path, fault: str) -> None:
    """Until SIGTERM; all of Redis comes last."""
    recorder = Recorder(valkey_port, trace, know_scripts(fault))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await asyncio.start_server(recorder.handle, "127.0.0.1", port, limit=LIMIT)
    await ended.wait()
    async with recorder.turn:
        await recorder.write_state()


def main() -> None:
    port, valkey_port, trace, fault = sys.argv[1:]
    asyncio.run(record(int(port), int(valkey_port), Path(trace), fault))


if __name__ == "__main__":
    main()
