"""Child processes that die with their parent, and ports that concurrent runs do not share."""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# below Linux's ephemeral ports (32768 up), so that no outgoing connection takes one
PORTS = range(21000, 32000)
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies. Elsewhere it then keeps running.

    Also resets SIGINT: what a shell starts in the background ignores it, and so would this.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: IO[bytes] | int | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a process in its own session that dies with this one. Its stderr goes to `stdout`."""
    return subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT if stdout is not None else None,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - nothing else can set it, and no other thread forks here
    )


def stop(process: "subprocess.Popen[bytes]", timeout_s: float = 10) -> int:
    """SIGTERM, then SIGKILL to the whole group after `timeout_s`. Returns the exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def allocate_port() -> int:
    """The next free loopback port, from a counter that all runs of this user share under a lock."""
    counter = Path(tempfile.gettempdir()) / f"gemini-batch-receiver-ports-{os.getuid()}"
    descriptor = os.open(counter, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        last = int(file.read().strip() or PORTS.start - 1)
        for step in range(1, len(PORTS) + 1):
            port = PORTS.start + (last - PORTS.start + step) % len(PORTS)
            if _is_free(port):
                file.seek(0)
                file.truncate()
                file.write(str(port))
                return port
    raise RuntimeError(
        f"no free port between {PORTS.start} and {PORTS.stop - 1}: stop some servers and try again"
    )
