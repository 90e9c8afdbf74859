import os
import signal
import subprocess
import sys

import pytest

from receiver.cli import progress
from receiver.cli.progress import show_progress
from tests.terminals import on_terminal, open_terminal, run_before
from tests.waiting import eventually

HOSTILE = "night [red]\x1b[2J\u202e\n\rend"
WORK = """
import logging, sys, threading, click
from receiver.cli.progress import show_progress
from receiver.telemetry.logs import set_up_logs
set_up_logs("INFO", "auto")
with show_progress(sys.argv[1], "bytes", 10_000_000) as bar:
    bar.advance(2_500_000)
    bar.print("waiting [red]" + sys.argv[1])
    logging.getLogger("receiver").warning("download.broke", extra={"cause": "[red]no"})
    bar.advance(2_500_000)
    if sys.argv[2:]:
        threading.Event().wait()
click.echo("a result")
"""


def test_terminal_shows_a_bar_and_its_cursor_again() -> None:
    with (
        open_terminal(columns=70) as terminal,
        on_terminal(terminal, {}, "-c", WORK, HOSTILE, "wait") as process,
    ):
        eventually(lambda: "5.0 of 10.0 MB" in terminal.text(), 20, "the bar")
        first, second, third, *_ = terminal.text().splitlines()
        assert first == "waiting [red]night [red]?[2J???end"
        assert second.endswith(" download.broke cause=[red]no")
        assert third.startswith("night [red]?[2J???end ━")
        assert terminal.screen.cursor.hidden
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
        terminal.text()
        assert not terminal.screen.cursor.hidden


def test_bar_leaves_stdout_to_results() -> None:
    with open_terminal() as terminal:
        done = run_before(terminal, {}, "-c", WORK, "checking")
        shown = terminal.text()
    assert done.stdout == "a result\n"
    assert b"checking" in terminal.raw
    assert shown.strip().endswith("download.broke cause=[red]no")  # and no bar any more


@pytest.mark.parametrize(
    ("quiet", "has_bar", "has_colour"), [("NO_COLOR", True, False), ("TERM", False, False)]
)
def test_quiet_terminals_are_left_alone(quiet: str, has_bar: bool, has_colour: bool) -> None:  # noqa: FBT001 - columns
    with open_terminal() as terminal:
        run_before(terminal, {quiet: "dumb"}, "-c", WORK, "checking")
        terminal.text()
    assert ("━".encode() in terminal.raw, b"\x1b[3" in terminal.raw) == (has_bar, has_colour)


def test_pipe_gets_no_line_of_what_is_quick() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK, "checking"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "a result\n"
    assert " MB" not in done.stderr


def test_pipe_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_progress("looking at default", "batches") as bar:
        bar.advance()
        monkeypatch.setattr(progress, "EVERY_S", 1000.0)
        monkeypatch.setattr(bar, "_next_s", 0.0)  # so much time has passed
        for _ in range(2000):
            bar.advance()
        bar.expect(3000)
        monkeypatch.setattr(bar, "_next_s", 0.0)
        bar.advance()
    assert capsys.readouterr() == (
        "",
        "looking at default: 2 batches\nlooking at default: 2,002 of 3,000 batches\n",
    )


def test_processes_do_without_rich() -> None:
    """httpx would load it too."""
    code = "import sys, receiver.cli; sys.exit(', '.join({'rich', 'pygments'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == ""
