"""A body on its way to the disk."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message

from receiver.api.problems import ProblemError
from receiver.api.submitting import Submitting
from receiver.api.uploads import AT_ONCE, MAX_LINES, NAME, IncomingBodies
from receiver.settings.settings import read_settings
from receiver.storage.cleanup import LEFT_S


def request_of(*chunks: bytes, query: bytes = b"") -> Request:
    """One in chunks, whose length nobody declares; it ends early unless the last chunk is empty."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": bool(chunk)} for chunk in chunks
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    scope = {"type": "http", "method": "POST", "headers": [], "query_string": query}
    return Request(scope, receive)


def read(uploads: IncomingBodies, request: Request) -> bytes:
    upload = uploads.open()
    try:
        asyncio.run(upload.read(request))
        return upload.path.read_bytes()
    finally:
        upload.close()


def test_body_is_read_as_it_comes(tmp_path: Path) -> None:
    uploads = IncomingBodies(str(tmp_path), max_bytes=6_000_000)
    chunks = [bytes([number]) * 700_000 for number in range(8)]
    assert read(uploads, request_of(*chunks, b"")) == b"".join(chunks)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("chunks", "status"), [((b"12345", b"678", b""), 413), ((b"123",), 400)], ids=["large", "cut"]
)
def test_refused_body_leaves_nothing(tmp_path: Path, chunks: tuple[bytes], status: int) -> None:
    uploads = IncomingBodies(str(tmp_path), max_bytes=7)
    for _ in range(AT_ONCE + 1):  # else its place would be lost
        with pytest.raises(ProblemError) as raised:
            read(uploads, request_of(*chunks))
        assert raised.value.problem.status == status
    assert list(tmp_path.iterdir()) == []


def test_body_of_too_many_lines_is_refused(tmp_path: Path) -> None:
    """Else the web process would remember millions of keys."""
    uploads, half = IncomingBodies(str(tmp_path)), b"\n" * (MAX_LINES // 2)
    assert len(read(uploads, request_of(half, half, b""))) == MAX_LINES
    with pytest.raises(ProblemError, match="over 1,000,000 lines") as raised:
        read(uploads, request_of(half, half, b"\n", b""))
    assert raised.value.problem.status == 413
    assert list(tmp_path.iterdir()) == []


def test_start_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    long_ago = time.time() - LEFT_S - 60
    for name in ("gbr-upload-old", "gbr-upload-young", "gbr-of a worker", "of another program"):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_bytes(b"{}")
        if "young" not in name:
            os.utime(tmp_path / name / NAME, (long_ago, long_ago))
            os.utime(tmp_path / name, (long_ago, long_ago))
    IncomingBodies(str(tmp_path)).clear_old()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"gbr-upload-young", "gbr-of a worker", "of another program"}
    IncomingBodies(str(tmp_path / "nosuch")).clear_old()


def test_absent_folder_takes_no_place(tmp_path: Path) -> None:
    uploads = IncomingBodies(str(tmp_path / "scratch"))
    for _ in range(AT_ONCE + 1):
        with pytest.raises(FileNotFoundError):
            uploads.open()
    (tmp_path / "scratch").mkdir()
    assert read(uploads, request_of(b"1", b"")) == b"1"


def test_body_that_no_thread_takes_in_leaves_nothing(tmp_path: Path) -> None:
    """Each thread would need more memory than there are addresses."""
    submitting = Submitting(read_settings({"GEMINI_API_KEY": "k", "SCRATCH_DIR": str(tmp_path)}))

    async def submit() -> None:
        await asyncio.to_thread(time.monotonic)  # another thread writes the body
        usual = threading.stack_size(1 << 46)
        try:
            for _ in range(AT_ONCE + 1):  # else its place would be lost
                with pytest.raises((ProblemError, RuntimeError), match="thread"):
                    await submitting.post(request_of(b"{}", b"", query=b"model=gemini-3.5-flash"))
        finally:
            threading.stack_size(usual)

    asyncio.run(submit())
    assert list(tmp_path.iterdir()) == []
