"""Runs tests over mutants in copies of this checkout, so that nothing here is touched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300  # a mutant may loop for ever


@contextmanager
def copy_checkout() -> Iterator[Path]:
    """A folder with all files that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    with TemporaryDirectory(prefix="gbr-mutants-") as folder:
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)
        yield Path(folder)


def environment(copy: Path) -> dict[str, str]:
    """Of tests in a copy, which share nothing with other runs: what those leave could fail them."""
    temporary = copy / "temporary"
    temporary.mkdir(exist_ok=True)
    return os.environ | {"PYTEST_DEBUG_TEMPROOT": str(temporary)}


def passes(copy: Path, module: str, *arguments: str) -> bool:
    """Whether `python -m module` ends well in a copy; what hangs does not."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment(copy) | {"PYTHONPATH": str(copy)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
