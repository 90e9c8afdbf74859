"""Time must grow as the lines do: ten times the file, ten times the time, once the fixed cost of a start is off."""

from collections.abc import Iterator

from tests.bench.figures import Figures, median_of
from tests.bench.generator import cached_results
from tests.bench.goals import verdict
from tests.bench.rounds import Say, run_once
from tests.bench.stage import Stage
from tests.bench.subjects import OURS
from tests.bench.tables import FIGURE_HEADER, draw, figure_cells

START_BYTES = 10_000  # a file so small that only the start is measured
SAME = 1.1


def measure(stage: Stage, size_bytes: int, rounds: int, say: Say) -> Iterator[str]:
    """Runs our worker at a hundredth, a tenth and the whole of the size; gives the table."""
    files = [cached_results(stage.data, "text", size) for size in (START_BYTES, *steps(size_bytes))]
    runs: dict[int, list[Figures]] = {file.size_bytes: [] for file in files}
    for number in range(1, rounds + 1):
        for file in files:
            say(f"round {number} of {rounds}: {file.size_bytes / 1e6:,.2f} MB")
            runs[file.size_bytes].append(run_once(stage, OURS, file))
    fixed, *each = (median_of(found) for found in runs.values())
    rows = [["the start alone", *figure_cells(fixed, files[0].size_bytes), "", "", ""]]
    first: Figures | None = None
    for file, figures in zip(files[1:], each, strict=True):
        net = figures.without(fixed)
        per_mb = Figures(net.wall_s / file.size_bytes * 1e6, net.cpu_s / file.size_bytes * 1e6, 0)
        first = first or per_mb
        growth = per_mb.cpu_s / first.cpu_s
        rows.append(
            [
                f"{file.size_bytes / 1e6:,.0f} MB",
                *figure_cells(figures, file.size_bytes),
                f"{per_mb.wall_s * 1000:.2f}",
                f"{per_mb.cpu_s * 1000:.2f}",
                f"{growth:.3f} {verdict(growth, SAME)}",
            ]
        )
    yield draw(
        ("text", *FIGURE_HEADER, "wall ms/MB", "CPU ms/MB", f"CPU / first (goal {SAME})"), rows
    )


def steps(size_bytes: int) -> list[int]:
    return [size_bytes // 100, size_bytes // 10, size_bytes]
