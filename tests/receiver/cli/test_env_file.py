"""`.env` in the working folder, met by whole commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from tests.programs import reading_files
from tests.receiver.forging import SECRET_TEXT

BROKEN = b"GEMINI_API_KEY=key\nREDIS_URL redis://:hunter2@127.0.0.1\n"
VARIABLE = "_GEMINI_BATCH_RECEIVER_COMPLETE"


def run(folder: Path, *args: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    env = reading_files() | environ
    argv = [sys.executable, "-m", "workers", *args]
    return subprocess.run(
        argv,
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path, redis_url: str) -> Path:
    (tmp_path / ".env").write_text(f"GEMINI_API_KEY=key\nREDIS_URL={redis_url}\n")
    with connect(redis_url) as client:
        Inbox(client).accept([Arrival("batches/one", "batch.succeeded", "static")])
    return tmp_path


def test_commands_read_the_file(folder: Path) -> None:
    assert "batches/one" in run(folder, "events", "list").stdout
    other = run(folder, "events", "list", REDIS_URL="redis://127.0.0.1:9/0")
    assert (other.returncode, "127.0.0.1:9" in other.stderr) == (1, True)


def test_completion_reads_the_file(folder: Path) -> None:
    words = {"COMP_WORDS": "gemini-batch-receiver batches show o", "COMP_CWORD": "3"}
    answer = run(folder, **words, **{VARIABLE: "zsh_complete"}).stdout.splitlines()
    assert answer[1::3] == ["one"]


def test_missing_setting_says_where_it_was_looked_for(tmp_path: Path) -> None:
    result = run(tmp_path, "status")
    assert result.returncode == 1
    assert "GEMINI_API_KEY: is missing" in result.stderr
    assert f"from the environment alone: there is no .env in {tmp_path};" in result.stderr
    alone = run(tmp_path, "--env-file", "none", "status")
    assert "from the environment alone" in alone.stderr


def test_empty_variable_that_hides_a_line_is_named(folder: Path) -> None:
    result = run(folder, "status", GEMINI_API_KEY="")
    assert result.returncode == 1
    hides = (
        "Set in the environment, but empty, so that the file's line does not count: GEMINI_API_KEY"
    )
    assert hides in result.stderr
    assert hides not in run(folder, "status", GEMINI_API_KEY="key").stderr


def test_doctor_says_where_settings_come_from(folder: Path) -> None:
    result = run(folder, "doctor", GEMINI_BASE_URL="http://127.0.0.1:9")
    where = f"Settings come from the environment, and what it lacks from {folder}/.env"
    assert f"settings: complete. {where}\n" in result.stdout


def test_broken_file_stops_a_command_but_no_help(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(BROKEN)
    result = run(tmp_path, "status")
    assert (result.returncode, f"{tmp_path}/.env, line 2: " in result.stderr) == (1, True)
    assert "hunter2" not in result.stderr
    assert run(tmp_path, "status", "--help").returncode == 0
    ignored = run(tmp_path, "status", RECEIVER_ENV_FILE="none")
    assert "GEMINI_API_KEY: is missing" in ignored.stderr


def test_empty_name_of_a_file_is_a_wrong_use(folder: Path) -> None:
    result = run(folder, "--env-file", "", "inbox", "list")
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        "'--env-file' (env var: 'RECEIVER_ENV_FILE'): it is empty: name a file, or none to read no file"
        in result.stderr
    )
    unset = run(folder, "inbox", "list", RECEIVER_ENV_FILE="")
    assert "batches/one" in unset.stdout


def test_pipe_keeps_no_command_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    for args in (("doctor",), ("init", "--api-key", "key")):
        result = run(tmp_path, *args)
        assert result.returncode == 1
        assert f"{tmp_path}/.env is no regular file: name one" in result.stdout + result.stderr


def test_worker_hands_the_file_on(folder: Path) -> None:
    """The commands that it starts have what it read, from a file that has another name."""
    secret = f"NOTIFY_SECRET={SECRET_TEXT}\n"
    text = (folder / ".env").read_text() + "NOTIFY_URL=https://notices.example.com\n" + secret
    (folder / "prod.env").write_text(text)
    (folder / ".env").write_bytes(BROKEN)
    result = run(
        folder, "--env-file", "prod.env", "worker", "--burst", GEMINI_BASE_URL="http://127.0.0.1:9"
    )
    assert result.returncode == 0, result.stderr
    assert "worker.stopped" in result.stderr
    assert "command.failed" not in result.stderr
