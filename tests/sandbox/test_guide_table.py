"""The table of client_programs/README.md names every sample, and tests that exist and run it."""

import re
from pathlib import Path

from tests.sandbox.printed_samples import PRINTED
from tests.sandbox.program_runs import PROGRAMS

TABLE = (PROGRAMS / "README.md").read_text()
ROWS = [line.split(" | ") for line in TABLE.splitlines() if line.startswith("|")][2:]


def test_every_sample_has_a_row() -> None:
    named = [found for row in ROWS for found in re.findall(r"`([a-z]+/[a-z_]+)`", row[1])]
    assert sorted(named) == sorted(PRINTED)


def test_every_row_has_tests_that_run_it() -> None:
    lost = []
    for row in ROWS:
        file = re.findall(r"`(test_\w+\.py)::", row[2])[0]
        source = (Path(__file__).parent / file).read_text()
        named = re.findall(r"[`:](test_\w+)`", row[2])
        lost += [name for name in named if f"def {name}(" not in source]
        sample = re.findall(r"`[a-z]+/([a-z_]+)`", row[1])
        lost += [name for name in sample if f'/{name}"' not in source and f'"{name}"' not in source]
    assert lost == []
