"""A scratch disk that is full ends a command with what to do, not with a traceback."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.errors import StorageError
from receiver.rows.scratch_database import ScratchDatabase
from tests.system_calls import run_alone

TABLE = "CREATE TABLE kept (name TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID"
INSERT = "INSERT INTO kept VALUES (?, ?)"
MANY = 50  # MiB; the cache holds 32
WORDS = "did not hold what is remembered of the rows: .*; free some space, or set SCRATCH_DIR"
CLI = "from receiver.cli import main; main()"


def limit_files(size_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


def change_each(database: ScratchDatabase) -> None:
    for number in range(MANY):
        database.change(INSERT, (str(number), bytes(2**20)))


def change_all(database: ScratchDatabase) -> None:
    database.change_all(INSERT, ((str(number), bytes(2**20)) for number in range(MANY)))


def fill(path: Path, write: Callable[[ScratchDatabase], None], size_bytes: int) -> None:
    """In another process."""
    limit_files(size_bytes)
    with pytest.raises(StorageError, match=WORDS) as caught, ScratchDatabase(path, TABLE) as opened:
        write(opened)
    assert caught.value.retryable
    assert str(path.parent) in str(caught.value)


@pytest.mark.parametrize("size_bytes", [0, 2**20])
@pytest.mark.parametrize("write", [change_each, change_all])
def test_full_disk_is_explained(
    write: Callable[[ScratchDatabase], None], size_bytes: int, tmp_path: Path
) -> None:
    run_alone(fill, tmp_path / "kept", write, size_bytes)


def test_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match=WORDS):
        ScratchDatabase(tmp_path / "kept", TABLE)


def test_rows_are_kept_and_found(tmp_path: Path) -> None:
    with ScratchDatabase(tmp_path / "kept", TABLE) as database:
        change_all(database)
        assert database.find("SELECT count(*) FROM kept") == (MANY,)
        assert database.find("SELECT data FROM kept WHERE name = ?", ("none",)) is None
        with pytest.raises(StorageError, match="UNIQUE"):
            database.change(INSERT, ("1", b""))


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(2**10, "did not hold what is remembered of the rows"), (2**17, "did not hold the requests")],
)
def test_submit_says_that_the_disk_is_full(size_bytes: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\n" + "x" * 2**20)
    (tmp_path / "prompt.j2").write_text("{{ text }}")
    asked = ("--prompt", "prompt.j2", "--model", "gemini-3.8-flash", "--dry-run")
    done = subprocess.run(
        [sys.executable, "-c", CLI, "batches", "submit", "rows.csv", *asked],
        cwd=tmp_path,
        env=os.environ | {"RECEIVER_ENV_FILE": "none", "TMPDIR": str(tmp_path)},
        preexec_fn=lambda: limit_files(size_bytes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("gbr-*"))
