"""What a worker's child commands write is log lines, since they share the worker's stderr."""

import json
from pathlib import Path

import pytest

from workers.worker.background import run_command


@pytest.mark.parametrize(
    ("words", "environ", "cause"),
    [
        (("reconcile", "--if-due", "--json"), {}, "Redis did not"),
        (
            ("notices", "send", "--json"),
            {"SLACK_WEBHOOK_URL": "https://hooks.example/x"},
            "Redis did not",
        ),
        (("reconcile", "--if-due", "--project", "nobody"), {}, "no project is called nobody"),
        (("reconcile", "--if-due"), {"PORT": "x"}, "PORT: expected a number"),
    ],
)
def test_error_of_a_child_is_an_event(
    words: tuple[str, ...],
    environ: dict[str, str],
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """ "Error: Redis did not answer" stood among the worker's JSON lines."""
    for name, value in (
        {"GEMINI_API_KEY": "k", "REDIS_URL": "redis://127.0.0.1:9/0"} | environ
    ).items():
        monkeypatch.setenv(name, value)
    assert run_command(*words) == 1
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["event"] for line in lines][-1] == "command.failed"
    assert cause in lines[-1]["cause"]
    assert lines[-1]["command"] in words


def test_folder_of_other_code_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workers.py").write_text("raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    assert run_command("--version") == 0
