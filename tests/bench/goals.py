"""What ours is held to: ratios of two subjects in one run, and figures of one."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, Protocol

from tests.bench.figures import Figures
from tests.bench.generator import Results
from tests.bench.subjects import (
    CURL,
    CURL_FLUSHED,
    DOCUMENTED,
    DUCKDB,
    FILES,
    FILES_FLUSHED,
    NAIVE_BY_KEY,
    OURS,
    OURS_BY_KEY,
    POLARS,
    SDK,
    SPLIT,
    STREAMING,
    YARDSTICK,
    Subject,
)

Field = Literal["wall_s", "cpu_s", "rss_bytes"]
Runs = Mapping[str, Sequence[Figures]]  # of each subject's name, in the order of the rounds
WORDS: Mapping[Field, str] = {"wall_s": "time", "cpu_s": "CPU", "rss_bytes": "memory"}
MIB = 1024 * 1024
MEMORY_MIB = {"images": 160, "mixed": 160}
MEMORY_TEXT_MIB = 64
CORES = len(os.sched_getaffinity(0))


class Goal(Protocol):
    @property
    def subject(self) -> Subject: ...

    @property
    def label(self) -> str: ...

    @property
    def limit(self) -> float | None:
        """None: shown for comparison."""

    @property
    def at_least(self) -> bool:
        """Whether more is better; else `limit` is the most."""

    def measured(self, runs: Runs, results: Results) -> float | None:
        """None when a subject did not run."""


@dataclass(frozen=True)
class Ratio:
    """`subject` takes at most `limit` times what `peer` takes."""

    subject: Subject
    peer: Subject
    field: Field
    limit: float | None
    at_least: bool = False

    @property
    def label(self) -> str:
        return f"{WORDS[self.field]} of {self.subject.label} / {self.peer.label}"

    def measured(self, runs: Runs, _: Results) -> float | None:
        """Median of the ratios of runs side by side."""
        pairs = zip(runs.get(self.subject.name, ()), runs.get(self.peer.name, ()), strict=False)
        ratios = [getattr(ours, self.field) / getattr(theirs, self.field) for ours, theirs in pairs]
        return median(ratios) if ratios else None


@dataclass(frozen=True)
class Bound:
    """A figure of `subject` alone."""

    subject: Subject
    what: str
    figure: Callable[[Figures, Results], float]
    limit: float | None
    at_least: bool = False

    @property
    def label(self) -> str:
        return f"{self.what} of {self.subject.label}"

    def measured(self, runs: Runs, results: Results) -> float | None:
        """Median of the runs."""
        found = [self.figure(figures, results) for figures in runs.get(self.subject.name, ())]
        return median(found) if found else None


def lines_per_s(figures: Figures, results: Results) -> float:
    return results.lines / figures.wall_s


def cpu_us_per_line(figures: Figures, results: Results) -> float:
    return figures.cpu_s * 1e6 / results.lines


def peak_mib(figures: Figures, _: Results) -> float:
    return figures.rss_bytes / MIB


def memory_limit_mib(kind: str) -> int:
    """Peak RSS that our worker is held to."""
    return MEMORY_MIB.get(kind, MEMORY_TEXT_MIB)


def with_cores(limit: float, cores: int) -> float | None:
    """A limit that only holds where there are so many cores."""
    return limit if cores <= CORES else None


def result_goals(kind: str) -> list[Goal]:
    return [
        Ratio(OURS, SDK, "wall_s", 0.5),
        Ratio(OURS, STREAMING, "wall_s", 0.7),
        Ratio(OURS, CURL_FLUSHED, "wall_s", with_cores(1.3, 4)),
        Ratio(OURS, CURL, "wall_s", None),
        Ratio(OURS, DOCUMENTED, "wall_s", None),
        Ratio(OURS, DOCUMENTED, "rss_bytes", None),
        Ratio(SPLIT, POLARS, "wall_s", None),
        Ratio(SPLIT, POLARS, "cpu_s", None),
        Ratio(SPLIT, DUCKDB, "wall_s", None),
        Ratio(SPLIT, DUCKDB, "cpu_s", None),
        Ratio(SPLIT, YARDSTICK, "cpu_s", 2.0),
        Bound(OURS, "peak MiB", peak_mib, memory_limit_mib(kind)),
    ]


BY_KEY_GOALS: list[Goal] = [
    Bound(OURS_BY_KEY, "objects/s", lines_per_s, 9_000, at_least=True),
    Bound(OURS_BY_KEY, "CPU us per object", cpu_us_per_line, 130),
    Ratio(OURS_BY_KEY, NAIVE_BY_KEY, "wall_s", 1.0),
    Ratio(OURS_BY_KEY, NAIVE_BY_KEY, "cpu_s", None),
    Ratio(OURS_BY_KEY, FILES_FLUSHED, "wall_s", None),
    Ratio(OURS_BY_KEY, FILES, "wall_s", None),
]


def verdict(measured: float, limit: float | None, *, at_least: bool = False) -> str:
    """One word or two on a goal."""
    if limit is None:
        return ""
    excess = limit / measured if at_least else measured / limit
    return "holds" if excess <= 1 else f"misses by {excess - 1:.0%}"
