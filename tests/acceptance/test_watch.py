"""`batches watch` as a real process, beside real ones that do the work."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from deploy.sandbox.processes import start, stop
from tests.acceptance.conftest import World
from tests.acceptance.test_books import run
from tests.running import answers, running_program, submit_inline
from tests.waiting import eventually


@contextmanager
def watching(settings: dict[str, str], stdout: IO[bytes] | int, *args: str) -> "Iterator[subprocess.Popen[bytes]]":
    argv = [sys.executable, "-m", "workers", "batches", "watch", "--interval", "0.2", *args]
    process = start(argv, env=os.environ | settings | {"COLUMNS": "120", "LINES": "20"}, stdout=stdout)
    try:
        yield process
    finally:
        stop(process)


def test_batches_are_watched_until_stored(world: World) -> None:
    settings = world.settings
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        stack.enter_context(running_program(world.folder, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        whole = submit_inline(world.gemini_url, {"one": "Hello", "two": "Hello"})
        broken = submit_inline(world.gemini_url, {"one": "Hello", "two": "[sandbox:missing]"})
        seen = run(settings, "batches", "watch", whole, broken, "--interval", "0.2", "--timeout", "30")
        assert f"{whole}  SUCCEEDED 2/2, stored\n" in seen.stdout
        assert (seen.returncode, seen.stderr.splitlines()[-1]) == (1, "1 of 2 batches are well")
        assert f"{broken}: 1 of 2 requests have no result\n" in seen.stderr
    assert run(settings, "batches", "watch", whole).returncode == 0


def test_interrupted_watch_ends_cleanly(world: World) -> None:
    batch = submit_inline(world.gemini_url, {"one": "Hello"}, "[stuck]")
    path = world.folder / "watch.log"
    with path.open("wb") as log, watching(world.settings, log, batch) as process:
        eventually(lambda: batch in path.read_text(), 20, "the first look")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert path.read_text().endswith("stopped watching; the batches go on\n")
    assert "Traceback" not in path.read_text()


def test_terminal_is_written_again_in_place(world: World) -> None:
    batch = submit_inline(world.gemini_url, {"one": "Hello"}, "[stuck] night")
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    seen = bytearray()

    def has(pattern: bytes) -> bool:
        with suppress(BlockingIOError):
            seen.extend(os.read(leader, 4096))
        return re.search(pattern, seen) is not None

    with watching(world.settings, follower, batch, "--until", "ended") as process:
        line = rb"\[-{20}\]  " + batch.encode() + rb"  RUNNING 0/1  \ds  \[stuck\] night\r\n"
        eventually(lambda: has(line), 20, "the first look")
        eventually(lambda: has(rb"\x1b\[2F\x1b\[J\[-{20}\]  0 of 1 batches done\r\n"), 10, "another look")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    os.close(leader)
    os.close(follower)
