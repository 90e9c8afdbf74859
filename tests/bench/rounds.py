"""Runs subjects in turn, A B C A B C, so that what drifts on the machine hits all of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.figures import OPEN_FILES, Figures, run_measured
from tests.bench.generator import Results
from tests.bench.stage import Stage
from tests.bench.subjects import Subject

MEMINFO = Path("/proc/meminfo")
Say = Callable[[str], None]


def run_once(
    stage: Stage, subject: Subject, results: Results, open_files: int = OPEN_FILES
) -> Figures:
    """One run, checked. Raises RunFailedError or WrongWorkError."""
    folder = stage.fresh_folder()
    start = subject.prepare(stage, results, folder)
    figures, text = run_measured(start.argv, folder, start.env, open_files=open_files)
    start.check(text)
    stage.clear(folder)
    return figures


def runnable(
    stage: Stage, subjects: Sequence[Subject], results: Results, say: Say
) -> list[Subject]:
    """Those that can run here; of the others it is said why not."""
    able = []
    for subject in subjects:
        reason = subject.missing(stage) or _lacks_memory(subject, results)
        if results.kind == "nasty" and not subject.reads_broken_lines:
            reason = "it stops at broken lines"
        if reason:
            say(f"skipped: {subject.label}: {reason}")
        else:
            able.append(subject)
    return able


def _lacks_memory(subject: Subject, results: Results) -> str | None:
    needed = subject.memory_factor * results.size_bytes
    try:
        with MEMINFO.open(encoding="ascii") as lines:
            free = next(
                int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")
            )
    except OSError:
        return None
    return (
        f"it needs {needed / 1e9:.0f} GB of memory, {free / 1e9:.0f} GB are free"
        if needed > free
        else None
    )


def run_rounds(
    stage: Stage, subjects: Sequence[Subject], results: Results, rounds: int, say: Say
) -> dict[str, list[Figures]]:
    """The figures of every subject, round by round."""
    runs: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
    for number in range(1, rounds + 1):
        for subject in subjects:
            say(f"round {number} of {rounds}: {subject.label}")
            runs[subject.name].append(run_once(stage, subject, results))
    return runs
