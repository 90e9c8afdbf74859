"""The bench's tables, as text."""

from collections.abc import Iterable, Mapping, Sequence

from tests.bench.figures import Figures, median_of
from tests.bench.generator import Results
from tests.bench.goals import GOALS, Runs, memory_limit_mib, verdict
from tests.bench.subjects import OURS, Subject

MIB = 1024 * 1024
JUDGED_BYTES = 10**8


def draw(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they must be; the first one flush left, the others flush right, the last one left again."""
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


def figures_table(
    subjects: Sequence[Subject], runs: Mapping[str, Sequence[Figures]], results: Results
) -> str:
    rows = [
        [subject.label, *figure_cells(median_of(runs[subject.name]), results.size_bytes)]
        for subject in subjects
        if runs.get(subject.name)
    ]
    return draw(("", *FIGURE_HEADER), rows)


def goals_table(runs: Runs, results: Results) -> str:
    """Ratios beside their goals; whether they hold is said of files that are large enough to tell."""
    rows = []
    for goal in GOALS:
        measured = goal.measured(runs)
        if measured is not None:
            limit = "" if goal.limit is None else f"{goal.limit:.3f}"
            rows.append([goal.label, limit, f"{measured:.3f}", verdict(measured, goal.limit)])
    if runs.get(OURS.name):
        peak, allowed = median_of(runs[OURS.name]).rss_bytes / MIB, memory_limit_mib(results.kind)
        rows.append(["peak MiB of ours", str(allowed), f"{peak:.0f}", verdict(peak, allowed)])
    if results.size_bytes >= JUDGED_BYTES:
        return draw(("ratio", "goal", "measured", ""), rows)
    note = f"not judged: below {JUDGED_BYTES / 1e6:.0f} MB the starts of the programs weigh most"
    return draw(("ratio", "goal", "measured"), [row[:3] for row in rows]) + "\n" + note
