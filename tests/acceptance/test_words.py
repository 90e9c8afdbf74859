"""Wrong input, answered in words by the real commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.sandbox.processes import allocate_port
from tests.acceptance.conftest import World
from tests.receiver.forging import SECRET_TEXT
from tests.running import ready_batch, set_faults

NOWHERE = f"redis://127.0.0.1:{allocate_port()}/0"
RIGHT = {"GEMINI_API_KEY": "right-key", "GEMINI_WEBHOOK_SECRET": SECRET_TEXT}


def run(settings: dict[str, str], *args: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, **settings}
    return subprocess.run(
        [sys.executable, "-m", "workers", *args],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["serve", "worker", "replay", "doctor"])
def test_all_wrong_settings_are_named(command: str) -> None:
    wrong = {
        "PORT": "x",
        "STORAGE_URL": "ftp://x",
        "OUTPUT_TEMPLATE": "{nokey}",
        "GEMINI_WEBHOOK_SECRET": "hunter2",
    }
    result = run(wrong, command)
    assert result.returncode == 1
    assert result.stdout == ""
    assert all(name in result.stderr for name in ["GEMINI_API_KEY", *wrong])
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("command", [["worker"], ["worker", "--burst"]])
def test_absent_redis_stops_a_worker(tmp_path: Path, command: list[str]) -> None:
    result = run(RIGHT | {"REDIS_URL": NOWHERE, "STORAGE_URL": tmp_path.as_uri()}, *command)
    assert result.returncode == 1
    assert "Error: Redis did not answer" in result.stderr
    assert "Traceback" not in result.stderr


def test_unusable_storage_stops_a_worker(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run(
        RIGHT | {"REDIS_URL": redis_url, "STORAGE_URL": (tmp_path / "file").as_uri()},
        "worker",
        "--burst",
    )
    assert result.returncode == 1
    assert "Error: STORAGE_URL can't be used: " in result.stderr


def test_refused_key_stops_a_replay(world: World) -> None:
    set_faults(world.gemini_url, get_status={"status": 403, "times": 1})
    batch = ready_batch(world.gemini_url, state="EXPIRED", notify=False)
    result = run(world.settings, "replay", "--batch", batch)
    assert result.returncode == 1
    assert "check that GEMINI_API_KEY is right" in result.stderr
    assert "right-key" not in result.stderr


def test_wrong_moment_is_explained() -> None:
    result = run(RIGHT, "replay", "--since", "yesterday")
    assert result.returncode == 2
    assert "expected 36h, 7d or 2026-11-22T18:00:00Z" in result.stderr


def test_doctor_finds_what_is_wrong(world: World) -> None:
    settings = world.settings
    healthy = run(settings, "doctor")
    assert healthy.returncode == 0, healthy.stdout
    assert ", which writes, reads, creates once and deletes" in healthy.stdout
    assert "ok    webhook secret: 1 secret at /webhooks/gemini\n" in healthy.stdout
    two = run(settings | {"GEMINI_API_KEY__ACME": "key-acme"}, "doctor").stdout
    assert "; none in this environment at /webhooks/gemini/acme\n" in two
    sick = run(settings | {"REDIS_URL": NOWHERE}, "doctor")
    assert sick.returncode == 1
    assert "WRONG redis: Redis did not answer" in sick.stdout
    assert "ok    gemini key: GEMINI_API_KEY is accepted\n" in sick.stdout
