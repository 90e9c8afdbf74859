"""Commands before a real terminal: bars on it, results alone on stdout."""

import json
from pathlib import Path

from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import batch_of, manifest_of, run
from tests.running import running_program
from tests.terminals import open_terminal, run_before
from tests.waiting import eventually


def write_requests(path: Path) -> Path:
    rows = [
        {"key": f"k{number}", "request": {"contents": [{"parts": [{"text": "Hello"}]}]}}
        for number in range(40)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_commands_show_how_far_they_are(world: World) -> None:
    settings, requests = world.settings, write_requests(world.folder / "requests.jsonl")

    def shown(*command: str) -> tuple[str, str]:
        """What came to stdout, and all that the terminal ever got; no bar stays there, and the cursor is back."""
        with open_terminal() as terminal:
            done = run_before(terminal, settings, "-m", "workers", *command)
            left = terminal.text()
            assert "━" not in left
            assert not terminal.screen.cursor.hidden
            return done.stdout, terminal.raw.decode()

    submit = ("batches", "submit", str(requests), "--model", "gemini-3.8-flash")
    out, bars = shown(*submit, "--json")
    name = json.loads(out)["submission"]
    assert "checking" in bars
    assert "storing" in bars
    out, _ = shown(*submit)
    assert out.startswith(f"already submitted as {name} (40 requests in 1 part")
    with running_program(world.folder, settings, "worker"):
        batch = batch_of(settings, name)
        eventually(
            lambda: batch in json.loads(run(settings, "replay", "--json").stdout)["queued"],
            20,
            "its end",
        )
        manifest_of(world, batch)
        out, bars = shown("submissions", "watch", name, "--interval", "0.2")
        assert "  completed; 40 of 40 requests answered" in out
        assert "answered" in bars
    out, bars = shown("verify", batch)
    assert out.startswith(f"{batch}: proven: 40 lines")
    assert f"proving {batch}" in bars
    assert "41 of 41 objects" in bars
    for command, label in (
        ("replay", "reading default"),
        ("reconcile", "reading default"),
        ("doctor", "checking"),
    ):
        out, bars = shown(command, "--json")
        json.loads(out)
        assert label in bars
    out, bars = shown("reconcile", "--if-due")  # a worker's look: its stderr is the worker's log
    assert (out.startswith("1 found"), "reading" in bars) == (True, False)
