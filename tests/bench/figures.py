"""What a run cost, by the operating system's own books."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from deploy.sandbox.processes import start

LAUNCHER = Path(__file__).with_name("launcher.py")
ROOT = Path(__file__).parents[2]
OPEN_FILES = 1024
TIMEOUT_S = 1800.0


class RunFailedError(Exception):
    """A measured program did not end well; its last words are in the message."""


@dataclass(frozen=True)
class Figures:
    """Of one run, or the medians of several."""

    wall_s: float
    cpu_s: float  # user + system, of all its processes and threads
    rss_bytes: int  # peak of its largest process

    def without(self, fixed: "Figures") -> "Figures":
        """What is left when the fixed cost of a start is taken off; the memory stays."""
        return replace(self, wall_s=self.wall_s - fixed.wall_s, cpu_s=self.cpu_s - fixed.cpu_s)


def median_of(runs: Sequence[Figures]) -> Figures:
    return Figures(
        median(run.wall_s for run in runs),
        median(run.cpu_s for run in runs),
        int(median(run.rss_bytes for run in runs)),
    )


def _outside() -> dict[str, str]:
    """Our environment, but byte code may be kept: else each start compiles all that it imports."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_measured(
    argv: Sequence[str],
    folder: Path,
    env: Mapping[str, str] | None = None,
    *,
    open_files: int = OPEN_FILES,
    ends_with: int = 0,
) -> tuple[Figures, str]:
    """Run a program to its end; gives its figures and what it printed to stdout.

    Raises RunFailedError when its exit code is not `ends_with` or it takes longer than TIMEOUT_S.
    """
    figures, output = folder / "figures.json", folder / "output.txt"
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(figures), str(open_files), *argv]
    with output.open("wb") as file:
        process = start(launch, env={**_outside(), **(env or {})}, cwd=ROOT, stdout=file)
    try:
        code = process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        code = -signal.SIGKILL
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = output.read_text(errors="replace")
    if code != ends_with:
        raise RunFailedError(f"{' '.join(argv)} ended with {code}:\n{text[-2000:]}")
    return Figures(**json.loads(figures.read_text())), text
