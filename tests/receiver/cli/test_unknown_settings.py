"""Every command says which variable looks like a setting and is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main

WARNING = "warning: GEMINI_API_KY: is no setting; did you mean GEMINI_API_KEY?"


def misspelt(redis_url: str, folder: Path) -> dict[str, str]:
    environ = {"GEMINI_API_KEY": "k", "GEMINI_API_KY": "hunter2", "REDIS_URL": redis_url}
    environ |= {"STORAGE_URL": folder.as_uri(), "GEMINI_BASE_URL": "http://127.0.0.1:9"}
    return environ | {"LOG_FORMAT": "json"}


def run(redis_url: str, folder: Path, *args: str) -> Result:
    return CliRunner().invoke(main, args, env=misspelt(redis_url, folder))


@pytest.mark.parametrize(
    "words",
    ["batches list", "batches errors b1", "inbox list --json", "status --json", "webhooks list"],
)
def test_misspelt_name_is_a_warning_on_stderr(words: str, redis_url: str, tmp_path: Path) -> None:
    result = run(redis_url, tmp_path, *words.split())
    assert result.stderr.splitlines().count(WARNING) == 1
    assert "hunter2" not in result.output


def test_doctor_shows_it_once_as_a_check(redis_url: str, tmp_path: Path) -> None:
    output = run(redis_url, tmp_path, "doctor").output
    assert output.count("GEMINI_API_KY") == 1


def test_worker_logs_it(redis_url: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "workers", "worker", "--burst"]
    env = os.environ | misspelt(redis_url, tmp_path)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=True)
    logged = [json.loads(line) for line in done.stderr.splitlines() if "GEMINI_API_KY" in line]
    assert [one["event"] for one in logged] == ["setting.unknown"]
