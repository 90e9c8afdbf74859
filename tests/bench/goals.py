"""What the result path is held to, as ratios of two subjects in one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from tests.bench.figures import Figures
from tests.bench.subjects import (
    CURL,
    CURL_FLUSHED,
    DOCUMENTED,
    DUCKDB,
    OURS,
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
MEMORY_MIB = {"images": 160, "mixed": 160}
MEMORY_TEXT_MIB = 64


@dataclass(frozen=True)
class Goal:
    """`subject` takes at most `limit` times what `peer` takes."""

    subject: Subject
    peer: Subject
    field: Field
    limit: float | None  # None: shown for comparison

    @property
    def label(self) -> str:
        return f"{WORDS[self.field]} of {self.subject.label} / {self.peer.label}"

    def measured(self, runs: Runs) -> float | None:
        """Median of the ratios of runs side by side; None when one of the two did not run."""
        pairs = zip(runs.get(self.subject.name, ()), runs.get(self.peer.name, ()), strict=False)
        ratios = [getattr(ours, self.field) / getattr(theirs, self.field) for ours, theirs in pairs]
        return median(ratios) if ratios else None


GOALS = (
    Goal(OURS, CURL, "wall_s", 1.25),
    Goal(OURS, CURL_FLUSHED, "wall_s", None),
    Goal(OURS, SDK, "wall_s", 0.3),
    Goal(OURS, DOCUMENTED, "wall_s", 1 / 8),
    Goal(OURS, DOCUMENTED, "rss_bytes", 1 / 200),
    Goal(OURS, STREAMING, "wall_s", None),
    Goal(SPLIT, POLARS, "wall_s", 0.75),
    Goal(SPLIT, POLARS, "cpu_s", None),
    Goal(SPLIT, DUCKDB, "wall_s", 0.65),
    Goal(SPLIT, DUCKDB, "cpu_s", None),
    Goal(SPLIT, YARDSTICK, "cpu_s", 1.5),
)


def verdict(measured: float, limit: float | None) -> str:
    """One word or two on a goal."""
    if limit is None:
        return ""
    return "holds" if measured <= limit else f"misses by {measured / limit - 1:.0%}"


def memory_limit_mib(kind: str) -> int:
    """Peak RSS that our worker is held to."""
    return MEMORY_MIB.get(kind, MEMORY_TEXT_MIB)
