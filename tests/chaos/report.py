"""What a scenario found: one line of figures, and whether the bars were held."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.checker import Verdict


@dataclass(frozen=True)
class Options:
    """What the command line asks of a scenario."""

    folder: Path  # an empty one for its processes' files
    seed: int
    events: int | None  # None: the scenario's own size
    short: bool

    def size(self, full: int, short: int) -> int:
        return self.events or (short if self.short else full)


@dataclass
class Report:
    """Collects figures in the order they are printed, and the bars that were missed."""

    title: str  # "kill storm"
    seed: int
    figures: dict[str, object] = field(default_factory=dict)
    misses: list[str] = field(default_factory=list)
    late: list[str] = field(
        default_factory=list
    )  # bars of time: a busy machine can miss them with nothing wrong
    table: str = ""  # printed below the line

    def note(self, **figures: object) -> None:
        self.figures |= figures

    def hold(self, claim: str, held: bool) -> None:  # noqa: FBT001 - reads as a sentence
        """A bar: the claim is printed when it was not held."""
        if not held:
            self.misses.append(claim)

    def hold_time(self, claim: str, held: bool) -> None:  # noqa: FBT001 - reads as a sentence
        """A bar of time: counts for the command, not for a test on whatever machine it runs."""
        if not held:
            self.late.append(claim)

    def judge(self, verdict: Verdict) -> None:
        self.note(**verdict.figures())
        self.misses += verdict.problems()

    @property
    def line(self) -> str:
        shown = (
            f"{name.replace('_', ' ')} {_shown(value)}" for name, value in self.figures.items()
        )
        return f"{self.title}, seed {self.seed}: {', '.join(shown)}"

    def below(self) -> Iterator[str]:
        """What is printed below the line."""
        if self.table:
            yield self.table
        yield from (f"  MISSED: {miss}" for miss in self.misses + self.late)


def _shown(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
