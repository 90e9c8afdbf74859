import os
import subprocess
import sys
import time
from pathlib import Path

from receiver.storage.cleanup import LEFT_S


def leave(folder: Path, name: str, age_s: float) -> Path:
    """A file as a killed worker leaves it; if its name ends in a slash, a folder with one."""
    path = folder / name
    (path if name.endswith("/") else folder).mkdir(parents=True, exist_ok=True)
    file = path / "group-0" if name.endswith("/") else path
    file.write_bytes(b"x" * 1000)
    for one in {file, path}:
        os.utime(one, (time.time() - age_s, time.time() - age_s))
    return path


def test_worker_clears_what_killed_ones_left(tmp_path: Path, redis_url: str) -> None:
    outputs, scratch = tmp_path / "outputs", tmp_path / "scratch"
    old = [
        leave(outputs / ".tmp", "0123456789abcdef01234567", LEFT_S + 60),
        leave(outputs / ".tmp", "gbr-old/", LEFT_S + 60),
        leave(scratch, "gbr-old/", LEFT_S + 60),
    ]
    kept = [
        leave(outputs / ".tmp", "76543210fedcba9876543210", 60),
        leave(outputs / ".tmp", "gbr-young/", 60),
        leave(outputs / "b", "one.json", LEFT_S + 60),
        leave(scratch, "gbr-young/", 60),
        leave(scratch, "of another program/", LEFT_S + 60),
    ]
    settings = {
        "GEMINI_API_KEY": "right-key",
        "REDIS_URL": redis_url,
        "STORAGE_URL": outputs.as_uri(),
        "SCRATCH_DIR": str(scratch),
    }
    argv = [sys.executable, "-m", "workers", "worker", "--burst"]
    ended = subprocess.run(
        argv, env=os.environ | settings, capture_output=True, text=True, check=True
    )
    assert [path for path in old if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert (
        ended.stderr.count("worker.leftovers_cleared")
        + ended.stdout.count("worker.leftovers_cleared")
        == 2
    )


def test_worker_starts_where_nothing_can_be_cleared(tmp_path: Path, redis_url: str) -> None:
    settings = {
        "GEMINI_API_KEY": "right-key",
        "REDIS_URL": redis_url,
        "STORAGE_URL": (tmp_path / "outputs").as_uri(),
        "SCRATCH_DIR": str(tmp_path / "absent"),
    }
    argv = [sys.executable, "-m", "workers", "worker", "--burst"]
    ended = subprocess.run(
        argv, env=os.environ | settings, capture_output=True, text=True, check=True
    )
    assert "worker.leftovers_kept" in ended.stderr + ended.stdout
