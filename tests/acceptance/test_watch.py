"""`batches watch` as a real process, beside real ones that do the work."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from deploy.sandbox.processes import start, stop
from tests.acceptance.conftest import World
from tests.acceptance.test_books import run
from tests.running import answers, running_program, submit_inline
from tests.terminals import on_terminal, open_terminal
from tests.waiting import eventually


@contextmanager
def watching(
    settings: dict[str, str], stdout: IO[bytes] | int, *args: str
) -> "Iterator[subprocess.Popen[bytes]]":
    argv = [sys.executable, "-m", "workers", "batches", "watch", "--interval", "0.2", *args]
    process = start(
        argv, env=os.environ | settings | {"COLUMNS": "120", "LINES": "20"}, stdout=stdout
    )
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
        seen = run(
            settings, "batches", "watch", whole, broken, "--interval", "0.2", "--timeout", "30"
        )
        assert f"{whole}  SUCCEEDED 2/2, stored\n" in seen.stdout
        assert (seen.returncode, seen.stderr.splitlines()[-1]) == (1, "1 of 2 batches are well")
        assert f"{broken}: 1 of 2 requests has no result\n" in seen.stderr
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
    """Names are whatever others wrote: no markup, no command of a terminal."""
    batch = submit_inline(world.gemini_url, {"one": "Hello"}, "[stuck] [red]night\x1b[2J\u202e")
    watch = ("-m", "workers", "batches", "watch", "--interval", "0.2", batch, "--until", "ended")
    row = f"  {'─' * 20}  RUNNING 0/1  [0-9]s  \\[stuck\\] \\[red\\]night\\?\\[2J\\?  {batch}\n"
    with open_terminal() as terminal, on_terminal(terminal, world.settings, *watch) as process:
        eventually(
            lambda: re.search(f"  {'─' * 20}  0 of 1 batch done\n{row}", terminal.text()),
            20,
            "the board",
        )
        eventually(
            lambda: terminal.text() and terminal.raw.count(b"RUNNING") > 2, 10, "another look"
        )
        assert terminal.text().count("batch done") == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert terminal.text().count("batch done") == 1
        assert "stopped watching; the batches go on\n" in terminal.text()
        assert not terminal.screen.cursor.hidden


def test_narrow_terminal_cuts_names_first(world: World) -> None:
    batches = [
        submit_inline(world.gemini_url, {"one": "Hello"}, f"[stuck] {number}")
        for number in range(6)
    ]
    watch = ("-m", "workers", "batches", "watch", "--interval", "0.2", *batches, "--until", "ended")
    with (
        open_terminal(columns=44, lines=7) as terminal,
        on_terminal(terminal, world.settings, *watch),
    ):
        eventually(lambda: "RUNNING 0/1  " in terminal.text(), 20, "the board")
        lines = terminal.text().splitlines()
    assert lines[0] == f"  {'─' * 10}  0 of 6 batches done"
    assert [
        line
        for line in lines[1:5]
        if not re.fullmatch(f"  {'─' * 10}  [A-Z]+ 0/1  [0-9]s  \\[stuck\\] [0-9]  b.*…", line)
    ] == []
    assert lines[5].startswith("… and 2 more")
