"""Peak memory: the same for ten times the file, and bounded for many keys and groups."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.figures import Figures
from tests.bench.generator import Results, cached_results
from tests.bench.goals import MIB, memory_limit_mib, verdict
from tests.bench.rounds import Say, run_once
from tests.bench.stage import Stage
from tests.bench.subjects import OURS
from tests.bench.tables import draw

BOUND_MIB = 160
OBJECTS_PER_S = 6_000
OPEN_FILES = 256
TINY_LINE_BYTES = 100
SAME = 1.1


@dataclass(frozen=True)
class Case:
    label: str
    kind: str
    size_bytes: int
    groups: int
    limit_mib: int
    objects_per_s: float | None = None  # at least; one for each group


def cases(size_bytes: int) -> list[Case]:
    """The file at a tenth and whole, and the shapes that tempt a splitter to hold much."""
    million = 1_000_000 * TINY_LINE_BYTES  # no line is longer, so there are more
    text, images = memory_limit_mib("text"), memory_limit_mib("images")
    return [
        Case("text, a tenth", "text", size_bytes // 10, 100, text),
        Case("text, whole", "text", size_bytes, 100, text),
        Case("images, a tenth", "images", size_bytes // 10, 100, images),
        Case("images, whole", "images", size_bytes, 100, images),
        Case("a million keys", "tiny", million, 100, BOUND_MIB),
        Case(
            "a million keys in 300,000 groups", "tiny", million, 300_000, BOUND_MIB, OBJECTS_PER_S
        ),
    ]


def measure(stage: Stage, size_bytes: int, only: str, say: Say) -> Iterator[str]:
    """Runs our worker with few open files allowed; gives the tables."""
    peaks: dict[str, float] = {}
    rows = []
    for case in cases(size_bytes):
        if only not in case.label:
            continue
        results = cached_results(stage.data, case.kind, case.size_bytes, groups=case.groups)
        say(f"{case.label}: {results.size_bytes / 1e6:,.0f} MB, {results.lines:,} lines")
        figures = run_once(stage, OURS, results, open_files=OPEN_FILES)
        peaks[case.label] = figures.rss_bytes / MIB
        rows.append(_row(case, results, figures))
    header = ("", "lines", "wall s", "goal MiB", "peak MiB", "", "goal objects/s", "objects/s", "")
    yield draw(header, rows)
    if growth := list(_growth(peaks)):
        yield draw(("ratio", "goal", "measured", ""), growth)
    yield f"every run had at most {OPEN_FILES} open files"


def _row(case: Case, results: Results, figures: Figures) -> list[str]:
    peak, per_s = figures.rss_bytes / MIB, results.groups / figures.wall_s
    cells = [case.label, f"{results.lines:,}", f"{figures.wall_s:.1f}"]
    cells += [f"<= {case.limit_mib}", f"{peak:.0f}", verdict(peak, case.limit_mib)]
    if case.objects_per_s is None:
        return [*cells, "", f"{per_s:,.0f}", ""]
    said = verdict(per_s, case.objects_per_s, at_least=True)
    return [*cells, f">= {case.objects_per_s:,.0f}", f"{per_s:,.0f}", said]


def _growth(peaks: dict[str, float]) -> Iterator[list[str]]:
    for kind in ("text", "images"):
        small, whole = peaks.get(f"{kind}, a tenth"), peaks.get(f"{kind}, whole")
        if small and whole:
            yield [
                f"{kind}: whole / a tenth",
                str(SAME),
                f"{whole / small:.3f}",
                verdict(whole / small, SAME),
            ]
