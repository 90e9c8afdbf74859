"""The tables of client_programs/README.md name every program and sample, and the tests of each."""

import re
from pathlib import Path

from tests.sandbox.printed_samples import PRINTED
from tests.sandbox.program_runs import PROGRAMS

OURS, PRINTED_TABLE = [
    [line.split(" | ") for line in table.splitlines() if line.startswith("|")][2:]
    for table in (PROGRAMS / "README.md").read_text().split("## The samples that the guide prints")
]
LANGUAGES = {"python": ".py", "javascript": ".mjs", "curl": ".sh"}


def test_every_sample_has_a_row() -> None:
    named = [found for row in PRINTED_TABLE for found in re.findall(r"`([a-z]+/[a-z_]+)`", row[1])]
    assert sorted(named) == sorted(PRINTED)


def test_every_row_has_tests_that_run_it() -> None:
    lost = []
    for row in PRINTED_TABLE:
        file = re.findall(r"`(test_\w+\.py)::", row[2])[0]
        source = (Path(__file__).parent / file).read_text()
        named = re.findall(r"[`:](test_\w+)`", row[2])
        lost += [name for name in named if f"def {name}(" not in source]
        sample = re.findall(r"`[a-z]+/([a-z_]+)`", row[1])
        lost += [name for name in sample if f'/{name}"' not in source and f'"{name}"' not in source]
    assert lost == []


def test_every_program_has_a_row_and_three_languages() -> None:
    named = [row[1].strip("`") for row in OURS]
    for language, ending in LANGUAGES.items():
        written = [file.stem for file in PROGRAMS.glob(f"{language}/*{ending}")]
        assert sorted(written) == sorted(named), language


def test_every_program_has_a_test_that_runs_it() -> None:
    source = (Path(__file__).parent / "test_client_programs.py").read_text()
    for row in OURS:
        test = source.partition(f"def {row[2].strip('`| ')}(")[2].partition("\ndef ")[0]
        assert re.search(rf"""program\(['"]{row[1].strip("`")}['"]""", test), row


def test_both_tables_have_the_same_parts() -> None:
    parts = [row[0].strip("| ") for row in PRINTED_TABLE]
    assert [part for part in parts if part] == [row[0].strip("| ") for row in OURS]
