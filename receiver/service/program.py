"""One program of the service: kept running until it is stopped, its output passed on by lines."""

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from receiver.errors import ServiceError
from receiver.service.restarts import MAX_QUICK_ENDS, QUICK_S, count_quick_ends, plan_restart_s

PR_SET_PDEATHSIG = 1
STOP_S = 8.0  # the web process and a worker promise five
READ_BYTES, MAX_LINE_BYTES = 64 * 1024, 1024 * 1024
LAST_LINES = 5
DRAINED_S = 1.0  # after the end of a program, for what its own children still hold open
log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    name: str  # as people read it: "web", "worker 1"
    argv: Sequence[str]
    environment: Mapping[str, str]
    before_start: Callable[[], Awaitable[None]] | None = None  # what every start waits for


class Keeper:
    """Starts a program, and again each time it ends by itself."""

    def __init__(
        self,
        program: Program,
        lock: int,
        hurry: asyncio.Event,
        pass_on: Callable[[str, str], None],
    ) -> None:
        """`lock` is a descriptor that the program inherits, `pass_on` takes its name and a line.

        Once there is a `hurry`, nothing has time to end by itself.
        """
        self._program, self._lock, self._hurry, self._pass_on = program, lock, hurry, pass_on
        self._last_lines = deque[str](maxlen=LAST_LINES)

    async def keep(self) -> None:
        """Until it is cancelled, with the program stopped then.

        Raises ServiceError when the program ends again and again at once.
        """
        quick_ends = 0
        while True:
            if self._program.before_start is not None:
                await self._program.before_start()
            started = time.monotonic()
            code = await self._run()
            quick_ends = count_quick_ends(quick_ends, time.monotonic() - started)
            pause_s = plan_restart_s(quick_ends)
            ended = {"program": self._program.name, "cause": explain_end(code)}
            if pause_s is None:
                log.error("service.given_up", extra=ended)
                raise ServiceError(self._describe_failure(code))
            log.warning("service.ended", extra=ended | {"delay_s": pause_s})
            await asyncio.sleep(pause_s)

    async def _run(self) -> int:
        """One run from its start to its end. Gives the exit code."""
        reading, writing = os.pipe()
        passing = asyncio.create_task(self._pass_lines(reading))
        try:
            process = await _start(self._program, writing, self._lock)
        finally:
            os.close(writing)
        log.info("service.started", extra={"program": self._program.name, "pid": process.pid})
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                await self._stop(process)
            await asyncio.wait({passing}, timeout=DRAINED_S)
            passing.cancel()

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        """SIGTERM; SIGKILL to all of its group where that is not enough."""
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        ended, hurried = map(asyncio.ensure_future, (process.wait(), self._hurry.wait()))
        await asyncio.wait({ended, hurried}, timeout=STOP_S, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            log.warning("service.killed", extra={"program": self._program.name})
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await ended

    async def _pass_lines(self, reading: int) -> None:
        stream, rest = asyncio.StreamReader(), b""
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", buffering=0)
        )
        try:
            while data := await stream.read(READ_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._pass_line(line)
        finally:
            if rest:
                self._pass_line(rest)
            transport.close()

    def _pass_line(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        self._last_lines.append(text)
        self._pass_on(self._program.name, text)

    def _describe_failure(self, code: int) -> str:
        said = "".join(f"\n  {line}" for line in self._last_lines) or " nothing"
        return (
            f"{self._program.name} ended {MAX_QUICK_ENDS} times in a row within {QUICK_S:.0f} s of"
            f" its start ({explain_end(code)}); it last said:{said}"
        )


def explain_end(code: int) -> str:
    """What an exit code of `subprocess` says: a negative one is a signal."""
    if code >= 0:
        return f"exit code {code}"
    hint = ": out of memory?" if code == -signal.SIGKILL else ""
    return f"killed by {signal.Signals(-code).name}{hint}"


async def _start(program: Program, output: int, lock: int) -> asyncio.subprocess.Process:
    """In a session of its own, so that Ctrl-C reaches us alone; Linux ends it when we die."""
    parent = os.getpid()

    def die_with_parent() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell runs with & ignores it
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before that
                os._exit(1)

    try:
        return await asyncio.create_subprocess_exec(
            *program.argv,
            env=program.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=[lock],
            preexec_fn=die_with_parent,
        )
    except OSError as error:
        raise ServiceError(f"{program.name} can't be started: {error.strerror}") from error
