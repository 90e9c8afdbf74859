"""Removes from a folder of temporary files what killed processes left, known by its age."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

LEFT_S = 86400.0  # a job ends within six hours, and what it writes is as young as its last line


def _clock_of(folder: Path) -> float:
    """Now, by the clock that stamps the files there: that of another machine may differ."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"now")
        file.flush()
        return os.fstat(file.fileno()).st_mtime


def _changed_at(path: Path) -> float:
    """When the file, or anything in the folder, was last written; infinity where it is gone."""
    below: Iterable[Path] = () if path.is_symlink() else path.rglob("*")
    try:
        return max(one.lstat().st_mtime for one in (path, *below))
    except FileNotFoundError:
        return float("inf")


def _find(folder: Path, pattern: str) -> Iterator[Path]:
    oldest, ours = _clock_of(folder) - LEFT_S, os.geteuid()
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):
            if path.lstat().st_uid == ours and _changed_at(path) < oldest:
                yield path


def clear_leftovers(folder: Path, pattern: str = "*") -> int:
    """Remove what fits the pattern, is ours and was not written for LEFT_S.

    Gives how many that were. Raises OSError.
    """
    left = list(_find(folder, pattern))
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return len(left)
