"""How long a person waits for the command line: the whole life of a process, byte code cached."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from deploy.sandbox.valkey import running_valkey
from tests.bench.figures import Figures, run_measured
from tests.bench.goals import MIB, verdict
from tests.bench.rounds import Say
from tests.bench.tables import draw

COMMAND = Path(sys.executable).with_name("gemini-batch-receiver")


@dataclass(frozen=True)
class Start:
    label: str
    args: tuple[str, ...] = ()
    completes: str | None = None  # Tab is pressed at the end of these words instead
    limit_ms: float | None = None  # None: shown for comparison
    argv: tuple[str, ...] = (str(COMMAND),)
    ends_with: int = 0

    def environment(self) -> dict[str, str]:
        """What the completion script of bash sets."""
        if self.completes is None:
            return {}
        words = f"{COMMAND.name} {self.completes}"
        return {
            "_GEMINI_BATCH_RECEIVER_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }


STARTS = (
    Start("an empty Python", ("-c", "pass"), argv=(sys.executable,)),
    Start("--version", ("--version",), limit_ms=150),
    Start("--help", ("--help",)),
    Start("Tab: the commands", completes="", limit_ms=250),
    Start("Tab: commands of batches", completes="batches ", limit_ms=250),
    Start("Tab: options of inbox list", completes="inbox list --", limit_ms=250),
    Start("Tab: the inbox's batches", completes="inbox show ", limit_ms=250),
    Start("inbox list, which asks Redis", ("inbox", "list"), limit_ms=300),
    Start("notices list, which asks Redis", ("notices", "list"), limit_ms=300),
    Start("status, which asks Redis", ("status",), limit_ms=300, ends_with=1),  # nothing runs
)


def measure(folder: Path, rounds: int, say: Say) -> Iterator[str]:
    """Every start in turn, after one that fills the caches; gives the table."""
    with running_valkey(folder) as redis_url:
        settings = {
            "GEMINI_API_KEY": "key",
            "REDIS_URL": redis_url,
            "STORAGE_URL": (folder / "outputs").as_uri(),
            "RECEIVER_ENV_FILE": "none",
        }
        found: dict[str, list[Figures]] = {start.label: [] for start in STARTS}
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}" if number else "warming up")
            for start in STARTS:
                figures = _run(start, folder, settings)
                if number:
                    found[start.label].append(figures)
    yield draw(
        ("", "goal ms", "ms", "", "CPU ms", "peak MiB"),
        [_row(start, found[start.label]) for start in STARTS],
    )


def _run(start: Start, folder: Path, settings: Mapping[str, str]) -> Figures:
    argv = [*start.argv, *start.args]
    env = {**settings, **start.environment()}
    figures, _ = run_measured(argv, folder, env, ends_with=start.ends_with)
    return figures


def _row(start: Start, found: list[Figures]) -> list[str]:
    wall_ms = 1000 * median(figures.wall_s for figures in found)
    cpu_ms = 1000 * median(figures.cpu_s for figures in found)
    peak_mib = median(figures.rss_bytes for figures in found) / MIB
    goal = "" if start.limit_ms is None else f"<= {start.limit_ms:.0f}"
    said = verdict(wall_ms, start.limit_ms)
    return [start.label, goal, f"{wall_ms:.0f}", said, f"{cpu_ms:.0f}", f"{peak_mib:.0f}"]
