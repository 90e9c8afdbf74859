"""Reads a large body into a file, as it comes: neither its size nor its sender fills the memory."""

import asyncio
import logging
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from starlette.requests import ClientDisconnect, Request

from receiver.api.problems import ProblemError
from receiver.outputs.wording import count_of
from receiver.storage.cleanup import clear_leftovers
from receiver.storage.errors import explain_os_error

EXTENSION = "gbr.upload"  # of an ASGI scope
ALLOW = "allow"
AT_ONCE = 2
MAX_BYTES = 500_000_000  # of one body
MAX_LINES = 1_000_000  # of one body: whoever checks it remembers each key, in some 130 bytes
PIECE_BYTES = 1024 * 1024  # written at once
PREFIX = "gbr-upload-"
NAME = "requests.jsonl"  # as if `batches submit` had read it from such a file
TOO_LARGE = "the body is over {:,} {}: send it in several, or use `batches submit` where it lies"
log = logging.getLogger(__name__)


def allow_upload(scope: Mapping[str, Any]) -> None:
    """Allow the request of a scope a large body and a late answer: it is known who sends it.

    Without the server's extension its limits hold.
    """
    allow = scope.get("extensions", {}).get(EXTENSION, {}).get(ALLOW)
    if allow is not None:
        allow()


class IncomingBody:
    """A body in a scratch folder, until it is closed."""

    def __init__(self, folder: Path, slot: threading.BoundedSemaphore, max_bytes: int) -> None:
        self._folder, self._slot, self._max_bytes = folder, slot, max_bytes
        self.path = folder / NAME

    async def read(self, request: Request) -> None:
        """Write the body to the file. Raises ProblemError, and OSError of the disk."""
        self._refuse_large(_declared_bytes(request))
        allow_upload(request.scope)
        with self.path.open("wb") as file:
            await self._copy(request, file)

    async def _copy(self, request: Request, file: IO[bytes]) -> None:
        piece, size, lines = bytearray(), 0, 0
        try:
            async for chunk in request.stream():
                piece += chunk
                size += len(chunk)
                lines += chunk.count(b"\n")
                self._refuse_large(size, lines)
                if len(piece) >= PIECE_BYTES:
                    await asyncio.to_thread(file.write, bytes(piece))
                    piece.clear()
        except ClientDisconnect as error:
            raise ProblemError(400, "the body ended too early: nothing was taken in") from error
        await asyncio.to_thread(file.write, bytes(piece))

    def _refuse_large(self, size: int, lines: int = 0) -> None:
        if size > self._max_bytes:
            raise ProblemError(413, TOO_LARGE.format(self._max_bytes, "bytes"))
        if lines > MAX_LINES:
            raise ProblemError(413, TOO_LARGE.format(MAX_LINES, "lines"))

    def close(self) -> None:
        """From any thread, once."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._slot.release()


class IncomingBodies:
    """The uploads of a process: few at once, since each takes its size on the scratch disk."""

    def __init__(self, scratch_dir: str | None, max_bytes: int = MAX_BYTES) -> None:
        self._scratch_dir, self._max_bytes = scratch_dir, max_bytes
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def clear_old(self) -> None:
        """Remove what killed processes left a day ago or earlier: no worker may see this disk."""
        folder = self._scratch_dir or tempfile.gettempdir()
        try:
            cleared = clear_leftovers(Path(folder), f"{PREFIX}*")
        except OSError as error:
            known = {"folder": folder, "cause": explain_os_error(error)}
            log.warning("api.leftovers_kept", extra=known)
        else:
            if cleared:
                log.info("api.leftovers_cleared", extra={"folder": folder, "count": cleared})

    def open(self) -> IncomingBody:
        """Close it in any case. Raises ProblemError while there are too many."""
        if not self._slots.acquire(blocking=False):
            busy = count_of(AT_ONCE, "body is", "bodies are")
            raise ProblemError(503, f"{busy} being taken in already: send it again in a moment")
        try:
            folder = tempfile.mkdtemp(prefix=PREFIX, dir=self._scratch_dir)
        except OSError:
            self._slots.release()
            raise
        return IncomingBody(Path(folder), self._slots, self._max_bytes)


def _declared_bytes(request: Request) -> int:
    """The body's length as its sender says; 0 where it does not."""
    text = request.headers.get("content-length", "")[:20]
    return int(text) if text.isdecimal() else 0
