"""A terminal for processes, and what a person sees on it."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import pyte

from deploy.sandbox.processes import start, stop


class Terminal:
    """A pseudo-terminal whose screen is kept up to date by `text`."""

    def __init__(self, columns: int = 120, lines: int = 20) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._leader, self.follower = pty.openpty()
        os.set_blocking(self._leader, False)

    def environment(self) -> dict[str, str]:
        """For a process before it; a developer's own NO_COLOR does not count."""
        size = {"COLUMNS": str(self.screen.columns), "LINES": str(self.screen.lines)}
        return (
            {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
            | {"TERM": "xterm"}
            | size
        )

    def text(self) -> str:
        """The lines that are seen now."""
        with suppress(BlockingIOError):
            while data := os.read(self._leader, 65536):
                self.raw += data
                self._stream.feed(data)
        return "\n".join(line.rstrip() for line in self.screen.display)

    def close(self) -> None:
        os.close(self._leader)
        os.close(self.follower)


@contextmanager
def open_terminal(columns: int = 120, lines: int = 20) -> Iterator[Terminal]:
    terminal = Terminal(columns, lines)
    try:
        yield terminal
    finally:
        terminal.close()


@contextmanager
def on_terminal(
    terminal: Terminal, settings: Mapping[str, str], *argv: str
) -> "Iterator[subprocess.Popen[bytes]]":
    """A Python process with all of its output on the terminal."""
    process = start(
        [sys.executable, *argv],
        env=terminal.environment() | dict(settings),
        stdout=terminal.follower,
    )
    try:
        yield process
    finally:
        stop(process)


def run_before(
    terminal: Terminal, settings: Mapping[str, str], *argv: str
) -> "subprocess.CompletedProcess[str]":
    """A Python process with its stderr on the terminal, and its stdout caught."""
    return subprocess.run(
        [sys.executable, *argv],
        env=terminal.environment() | dict(settings),
        stdout=subprocess.PIPE,
        stderr=terminal.follower,
        text=True,
        timeout=60,
        check=False,
    )
