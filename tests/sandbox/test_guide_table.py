"""The table of guide/README.md names every sample, and tests that exist and run it."""

import re
from pathlib import Path

from tests.sandbox.samples import GUIDE

ROWS = [
    line.split(" | ")
    for line in (GUIDE / "README.md").read_text().splitlines()
    if line.count(" | ") == 3
]
SAMPLES = sorted(
    str(path.relative_to(GUIDE)) for path in GUIDE.glob("*/*.*") if path.suffix != ".pyc"
)


def test_every_sample_has_a_row() -> None:
    named = [found for row in ROWS for found in re.findall(r"`([a-z]+/[a-z_]+\.[a-z]+)`", row[1])]
    assert sorted(named) == SAMPLES


def test_every_row_has_tests_that_run_it() -> None:
    lost = []
    for row in ROWS[1:]:
        file = re.findall(r"`(test_\w+\.py)::", row[2])[0]
        source = (Path(__file__).parent / file).read_text()
        lost += [
            name for name in re.findall(r"[`:](test_\w+)`", row[2]) if f"def {name}(" not in source
        ]
        sample = re.findall(r"`[a-z]+/([a-z_]+)\.", row[1])
        lost += [name for name in sample if f"/{name}." not in source and f'"{name}"' not in source]
    assert lost == []
