"""Which test files run, and in which order: `durations.json` has the seconds of each.

Without CI the quick ones come first, and the slow ones are left out unless they are named. In CI
all run, the longest first, so that the workers of xdist end together. `--save-durations` writes the
table.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.programs import is_ci

ROOT = Path(__file__).parent.parent
DURATIONS = ROOT / "tests" / "durations.json"
SLOW = (  # folders and files
    "tests/acceptance",  # every process real, each started anew
    "tests/bench",
    "tests/chaos/test_recorder.py",
    "tests/model",
    "tests/mutation/test_samples.py",
    "tests/workers/worker/test_rq_worker.py",  # likewise
)
UNKNOWN_S = 0.02  # a test of a file that is not in the table
LEAST_S = 0.5  # of a file in the table


def is_left_out(path: Path, config: pytest.Config) -> bool:
    """A slow one of a run that names nothing."""
    if is_ci() or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return False
    return any(path.is_relative_to(ROOT / slow) for slow in SLOW)


def read_durations() -> dict[str, float]:
    found: dict[str, float] = json.loads(DURATIONS.read_text())
    return found


def save_durations(seconds: Mapping[str, float]) -> None:
    """Replace what the table says of these files, and drop files that are gone."""
    table = read_durations() | {name: round(value, 1) for name, value in seconds.items()}
    kept = (name for name in sorted(table) if (ROOT / name).exists() and table[name] >= LEAST_S)
    DURATIONS.write_text(json.dumps({name: table[name] for name in kept}, indent=1) + "\n")


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def expected_seconds(counts: Mapping[str, int]) -> dict[str, float]:
    """Of each file, by the number of its tests."""
    durations = read_durations()
    return {name: durations.get(name, count * UNKNOWN_S) for name, count in counts.items()}


def count_by_file(nodeids: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for nodeid in nodeids:
        name = file_of(nodeid)
        counts[name] = counts.get(name, 0) + 1
    return counts


def order(items: list[pytest.Item]) -> None:
    """By file: the shortest first, in CI the longest."""
    seconds = expected_seconds(count_by_file(item.nodeid for item in items))
    items.sort(key=lambda item: seconds[file_of(item.nodeid)], reverse=is_ci())
