"""Which files of the repository an engine would be sent: the rules of .dockerignore."""

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from tests.deploy.reading import ROOT


@cache
def rules() -> tuple[tuple[bool, str], ...]:
    """Each as whether it keeps files, and its pattern. The last that fits a path decides."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    return tuple((line.startswith("!"), line.removeprefix("!")) for line in kept)


def is_sent(path: Path) -> bool:
    """`path` is relative to the repository. A rule for a folder holds for all below it."""
    places = [path, *path.parents][:-1]
    sent = True
    for keeps, pattern in rules():
        if any(_fits(place, pattern) for place in places):
            sent = keeps
    return sent


def _fits(path: Path, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(path.name, pattern.removeprefix("**/"))
    segments = pattern.split("/")
    return len(segments) == len(path.parts) and all(map(fnmatch, path.parts, segments))


def context_files(root: Path) -> Iterator[Path]:
    """All files that would be sent, relative to `root`."""
    for folder, names, files in os.walk(root):
        place = Path(folder).relative_to(root)
        names[:] = [name for name in names if not name.startswith((".git", ".venv", ".node"))]
        yield from (place / name for name in files if is_sent(place / name))
