"""Rows in and rows out: ours, and the pandas script that a user would write in its place."""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.bench.figures import Figures, RunFailedError, median_of, run_measured
from tests.bench.goals import MIB, verdict
from tests.bench.rounds import Say
from tests.bench.submitted_rows import PROMPT, SUBMISSION, SubmittedRows
from tests.bench.tables import draw

ROWS_PER_S = 50_000  # rows out
PEAK_MIB = 256  # both ways
HEADER = ("wall s", "rows/s", "CPU us per row", "peak MiB")


@dataclass(frozen=True)
class Way:
    label: str
    program: str  # of tests.bench.ways
    direction: Literal["in", "out"]
    is_ours: bool = False

    def argv(self, submitted: SubmittedRows, folder: Path) -> list[str]:
        table = str(submitted.table)
        match self.direction, self.is_ours:
            case "in", _:
                args = [table, PROMPT]
            case _, True:
                args = [str(submitted.folder / "outputs"), SUBMISSION]
            case _:
                args = [table, str(submitted.results)]
        return [sys.executable, "-m", f"tests.bench.ways.{self.program}", *args, str(folder)]


OURS_IN = Way("rows in, ours", "rows_in", "in", is_ours=True)
OURS_OUT = Way("rows out, ours", "rows_out", "out", is_ours=True)
WAYS = (
    OURS_IN,
    Way("rows in, read_csv, Jinja and json", "rows_in_pandas", "in"),
    OURS_OUT,
    Way("rows out, json.loads, merge, to_parquet", "rows_out_pandas", "out"),
)


def measure(submitted: SubmittedRows, runs: int, say: Say, *, judged: bool = True) -> Iterator[str]:
    """Each way in turn; gives the table of figures and, if judged, that of the goals."""
    able = [one for one in WAYS if one.is_ours or importlib.util.find_spec("pandas") is not None]
    for one in WAYS:
        if one not in able:
            say(f"skipped: {one.label}: pandas is not installed")
    found: dict[str, list[Figures]] = {one.label: [] for one in able}
    for number in range(1, runs + 1):
        for one in able:
            say(f"round {number} of {runs}: {one.label}")
            found[one.label].append(_run(one, submitted))
    middle = {label: median_of(each) for label, each in found.items()}
    rows = [[one.label, *_cells(middle[one.label], submitted.rows)] for one in able]
    yield draw((f"{submitted.rows:,} rows", *HEADER), rows)
    if judged:
        yield draw(("", "goal", "measured", ""), _goals(middle, submitted.rows))
    else:
        yield "not judged: in a small table the starts of the programs weigh most"


def _run(one: Way, submitted: SubmittedRows) -> Figures:
    with tempfile.TemporaryDirectory(dir=submitted.folder.parent) as folder:
        figures, text = run_measured(one.argv(submitted, Path(folder)), Path(folder))
    counted = json.loads(text)["rows"]
    if counted != submitted.rows:
        raise RunFailedError(f"{one.label} made {counted:,} rows of {submitted.rows:,}")
    return figures


def _cells(figures: Figures, rows: int) -> Sequence[str]:
    return (
        f"{figures.wall_s:.1f}",
        f"{rows / figures.wall_s:,.0f}",
        f"{figures.cpu_s * 1e6 / rows:.1f}",
        f"{figures.rss_bytes / MIB:,.0f}",
    )


def _goals(figures: Mapping[str, Figures], rows: int) -> Iterator[Sequence[str]]:
    speed = rows / figures[OURS_OUT.label].wall_s
    held = verdict(speed, ROWS_PER_S, at_least=True)
    yield "rows/s out", f">= {ROWS_PER_S:,}", f"{speed:,.0f}", held
    for one in (OURS_IN, OURS_OUT):
        peak = figures[one.label].rss_bytes / MIB
        yield f"peak MiB of {one.label}", f"<= {PEAK_MIB}", f"{peak:.0f}", verdict(peak, PEAK_MIB)
