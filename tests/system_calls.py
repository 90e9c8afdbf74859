"""Runs a function in a process of its own, with a fault or a SIGKILL at one exact system call (strace)."""

import ctypes
import multiprocessing
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

from receiver.errors import ReceiverError
from tests.programs import give_up, require

CHANGING = (
    "?rename",
    "renameat",
    "renameat2",
    "?link",
    "linkat",
    "?mkdir",
    "mkdirat",
    "?unlink",
    "unlinkat",
    "?rmdir",
)
WRITING = (
    "?open",
    "openat",
    "write",
    "pwrite64",
    "sendfile",
    "?copy_file_range",
    "fsync",
    "fdatasync",
    "syncfs",
)
TRACED = ",".join(CHANGING + WRITING)
START = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\((?P<what>.*)", re.MULTILINE)
LIMIT_S = 60.0
MEMORY = Path("/dev/shm")
PR_SET_PTRACER = 0x59616D61
_FORKS = multiprocessing.get_context(
    "forkserver"
)  # what strace stops there holds no lock and no server of the tests
_FORKS.set_forkserver_preload(["pytest", "tests.system_calls", "workers.process", "receiver.cli"])


@dataclass(frozen=True)
class Call:
    """One system call."""

    name: str  # "fsync"
    number: int  # among its thread's calls of this name, from 1
    what: str  # its arguments and its result, as strace shows them, descriptors with their paths

    def __str__(self) -> str:
        return f"{self.name} {self.number}: {self.what[:160]}"


@dataclass(frozen=True)
class Run:
    """How the function ended, and what strace saw of it."""

    calls: list[Call]
    injected: int  # how many of them got the fault
    exit_code: int  # as multiprocessing has it: minus the signal's number
    error: str | None = None  # what was raised: its message
    kind: str | None = None  # and its class
    retryable: bool | None = None


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder where a flush costs nothing; an ordinary one where there is no such disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def require_strace() -> None:
    """Skip here where nothing can be traced; in CI, which installs strace and may trace, fail."""
    require("strace")
    if subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True, check=False
    ).returncode:
        give_up("the leave of strace to trace", "allow ptrace")


def _work(pipe: Connection, function: Callable[..., object], args: tuple[Any, ...]) -> None:
    """The forked process: waits until it is watched, and tells how it went."""
    told: tuple[str, str, bool | None] | None = None
    ctypes.CDLL(None).prctl(
        PR_SET_PTRACER, ctypes.c_ulong(-1)
    )  # strace is no parent of ours: Ubuntu asks for leave
    pipe.send("ready")
    pipe.recv()
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001 - it is judged by who reads it
        told = (
            type(error).__name__,
            str(error),
            error.retryable if isinstance(error, ReceiverError) else None,
        )
    try:
        pipe.send(told)
    except OSError:  # a fault that was meant for another thread, and comes once
        pipe.send(told)


@contextmanager
def _watching(pid: int, log: Path, injections: tuple[str, ...]) -> Iterator[None]:
    """Strace watches the process until that ends."""
    argv = ["strace", "-f", "-y", "-s", "0", "-o", str(log), "-e", f"trace={TRACED}"]
    for injection in injections:
        argv += ["-e", f"inject={injection}"]
    with subprocess.Popen([*argv, "-p", str(pid)], stderr=subprocess.PIPE) as strace:
        try:
            _wait_until_attached(strace.stderr)
            yield
            strace.wait(LIMIT_S)
        finally:
            strace.terminate()


def _wait_until_attached(said: IO[bytes] | None) -> None:
    assert said is not None
    line = said.readline()
    assert b"attached" in line, line.decode(errors="replace")


def _read_calls(log: str) -> list[Call]:
    calls, numbers = [], Counter[tuple[str, str]]()
    for found in START.finditer(log):
        which = found["thread"], found["name"]
        numbers[which] += 1
        calls.append(Call(found["name"], numbers[which], found["what"]))
    return calls


@contextmanager
def _forked(
    function: Callable[..., object], args: tuple[Any, ...]
) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that runs the function once it is told to go; it has ended when this has."""
    ours, theirs = _FORKS.Pipe()
    process = _FORKS.Process(target=_work, args=(theirs, function, args), daemon=True)
    process.start()
    theirs.close()
    with ours:
        ours.recv()
        yield process, ours
        process.join(LIMIT_S)
    assert process.exitcode is not None, "it did not end"


def _go(pipe: Connection) -> tuple[str | None, str | None, bool | None]:
    pipe.send("go")
    with suppress(EOFError, ConnectionResetError):  # killed
        return pipe.recv() or (None, None, None)
    return None, None, None


def run_traced(function: Callable[..., object], *args: Any, inject: tuple[str, ...] = ()) -> Run:
    """Run in a process that strace watches; `inject` as strace takes it, such as `fsync:error=EIO:when=2`.

    Strace counts the calls of every thread apart.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with _forked(function, args) as (process, pipe):
            assert process.pid is not None
            with _watching(process.pid, log, inject):
                kind, error, retryable = _go(pipe)
        assert process.exitcode is not None
        seen = log.read_text(errors="replace")
        return Run(
            _read_calls(seen), seen.count("(INJECTED)"), process.exitcode, error, kind, retryable
        )


def run_alone(function: Callable[..., object], *args: Any) -> None:
    """Run in a process of its own that nobody hinders. Fails the test when it raises."""
    with _forked(function, args) as (_, pipe):
        kind, error, _ = _go(pipe)
    assert kind is None, f"{kind}: {error}"


def calls_below(run: Run, folder: Path) -> list[Call]:
    """The calls that change something in a folder, or open something there."""
    return [call for call in run.calls if str(folder) in call.what]
