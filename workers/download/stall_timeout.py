"""Cuts a connection that is too slow.

The HTTP client limits the time of each read, so that a byte now and then, or headers that never
end, would last forever. Here a thread shuts the socket down, and the read that waits returns.
"""

import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from threading import Event
from typing import Any, Self

from receiver.telemetry.tracing import ContextThread

CHECKS_PER_WINDOW = 40
MAX_CHECK_INTERVAL_S = 1.0


class StallWatch:
    """A context manager for one attempt: each `min_bytes` must arrive within `stall_s` of waiting.

    The time that the consumer takes between two chunks is not waiting. From `deadline` on
    (time.monotonic), any wait is cut.
    """

    def __init__(self, stall_s: float, min_bytes: int, deadline: float) -> None:
        self.cause: str | None = None  # why the connection was cut, once it was
        self._stall_s, self._min_bytes, self._deadline = stall_s, min_bytes, deadline
        self._waited_s, self._gathered_bytes = 0.0, 0  # since the last `min_bytes` were full
        self._waits_since = time.monotonic()
        # None while the consumer works. It is written as one value, so that it needs no lock.
        self._cut_at: float | None = None
        self._socket: socket.socket | None = None
        self._ended = Event()
        self._thread = ContextThread(target=self._watch, name="stall-watch", daemon=True)

    def __enter__(self) -> Self:
        self._wait_begins()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._forget_socket()

    def follow(self, event: str, info: Mapping[str, Any]) -> None:
        """For the `trace` of the HTTP client, which reports a connection before its first byte."""
        if event == "connection.connect_tcp.complete":
            self._forget_socket()
            # A descriptor of our own: that of the connection may be closed, and its number reused,
            # at the moment when this thread shuts it down.
            theirs = info["return_value"].get_extra_info("socket")
            self._socket = socket.socket(fileno=os.dup(theirs.fileno()))

    def timed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, with the time measured that they take."""
        for chunk in chunks:
            self._wait_ends(len(chunk))
            yield chunk
            self._wait_begins()
        self._cut_at = None

    def _wait_begins(self) -> None:
        self._waits_since = now = time.monotonic()
        self._cut_at = min(now + self._stall_s - self._waited_s, self._deadline)

    def _wait_ends(self, size_bytes: int) -> None:
        self._cut_at = None
        self._gathered_bytes += size_bytes
        if self._gathered_bytes >= self._min_bytes:
            self._waited_s, self._gathered_bytes = 0.0, 0
        else:
            self._waited_s += time.monotonic() - self._waits_since

    def _watch(self) -> None:
        interval_s = min(MAX_CHECK_INTERVAL_S, self._stall_s / CHECKS_PER_WINDOW)
        while not self._ended.wait(interval_s):
            cut_at, connection = self._cut_at, self._socket
            if cut_at is not None and connection is not None and time.monotonic() >= cut_at:
                is_over = time.monotonic() >= self._deadline
                stalled = f"fewer than {self._min_bytes} bytes in {self._stall_s:g} s"
                self.cause = "the time for the whole of it is over" if is_over else stalled
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                return

    def _forget_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
