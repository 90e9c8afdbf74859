"""The bench's tables, as text."""

from collections.abc import Iterable, Mapping, Sequence

from tests.bench.figures import Figures, median_of
from tests.bench.generator import Results
from tests.bench.goals import MIB, Goal, Runs, cpu_us_per_line, lines_per_s, verdict
from tests.bench.subjects import Subject


def draw(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they must be; the first and the last flush left, the others right."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = []
    for row in table:
        middle = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *middle]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def title(results: Results, rounds: int) -> str:
    size = f"{results.size_bytes / 1e6:,.0f} MB, {results.lines:,} lines, {results.groups:,} groups"
    return f"{results.kind}: {size}; medians of {rounds} interleaved run(s)"


def figure_cells(figures: Figures, size_bytes: int) -> list[str]:
    """Wall, CPU, peak RSS, megabytes a second."""
    return [
        f"{figures.wall_s:.2f}",
        f"{figures.cpu_s:.2f}",
        f"{figures.rss_bytes / MIB:.0f}",
        f"{size_bytes / 1e6 / figures.wall_s:.0f}",
    ]


FIGURE_HEADER = ("wall s", "CPU s", "peak MiB", "MB/s")
LINE_HEADER = ("lines/s", "CPU us per line")


def figures_table(
    subjects: Sequence[Subject], runs: Mapping[str, Sequence[Figures]], results: Results
) -> str:
    """A row for each subject that ran."""
    rows = []
    for subject in subjects:
        if runs.get(subject.name):
            middle = median_of(runs[subject.name])
            by_line = [lines_per_s(middle, results), cpu_us_per_line(middle, results)]
            cells = figure_cells(middle, results.size_bytes)
            rows.append([subject.label, *cells, *(f"{figure:,.0f}" for figure in by_line)])
    return draw(("", *FIGURE_HEADER, *LINE_HEADER), rows)


def goals_table(goals: Sequence[Goal], runs: Runs, results: Results, *, judged: bool) -> str:
    """Figures beside their goals; whether they hold is said of files large enough to tell."""
    rows = []
    for goal in goals:
        measured = goal.measured(runs, results)
        if measured is not None:
            said = verdict(measured, goal.limit, at_least=goal.at_least) if judged else ""
            rows.append([goal.label, _limit(goal), _number(measured), said])
    table = draw(("ratio", "goal", "measured", ""), rows)
    if judged:
        return table
    return f"{table}\nnot judged: in a small file the starts of the programs weigh most"


def _limit(goal: Goal) -> str:
    if goal.limit is None:
        return ""
    return f"{'>=' if goal.at_least else '<='} {_number(goal.limit)}"


def _number(value: float) -> str:
    """Three digits of what is small."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
