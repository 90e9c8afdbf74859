"""How the tests run: what is left out, skipped or failed, in which order, and what is said."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.schedule import ROOT, SLOW, read_durations, save_durations


def run_pytest(*arguments: str, cwd: Path, ci: bool = False) -> "subprocess.CompletedProcess[str]":
    left = {name: os.environ[name] for name in os.environ if not name.startswith(("CI", "PYTEST_"))}
    env = left | {"PYTHONPATH": str(ROOT)} | ({"CI": "true"} if ci else {})
    argv = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def run(folder: Path, *options: str, ci: bool = False) -> "subprocess.CompletedProcess[str]":
    """Our pytest on the files of a folder."""
    ours = ("-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "--rootdir", str(folder))
    return run_pytest(*ours, *options, str(folder), cwd=folder, ci=ci)


FEW = {"test_few.py": "def test_it(): pass\n"}
FILES = FEW | {
    "test_many.py": "".join(f"def test_{n}(): pass\n" for n in range(9)),
    "test_wrong.py": "def test_it(): assert False\n",
}
NEEDS_PROGRAM = """
from tests.programs import require
def test_it(): require("no-such-program", "its-package")
"""
NEEDS_PACKAGE = "import nowhere.to_be_found\ndef test_it(): pass\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_files_that_are_named_are_there() -> None:
    assert [path for path in SLOW if not (ROOT / path).exists()] == []
    durations = read_durations()
    gone = [path for path in durations if not (ROOT / path).exists()]
    assert len(gone) < len(durations) / 5, "--save-durations writes the table anew"


@pytest.mark.parametrize(
    ("environment", "named", "expected"),
    [
        ("here", [], {"tests/fuzz"}),
        ("CI", [], {"tests/fuzz", "tests/bench"}),
        ("here", ["tests/bench/test_bench.py"], {"tests/bench"}),
    ],
)
def test_slow_files_are_left_out_unless_named(
    environment: str, named: list[str], expected: set[str]
) -> None:
    few = ("-o", "testpaths=tests/fuzz tests/bench")
    done = run_pytest("--collect-only", *few, *named, ci=environment == "CI", cwd=ROOT)
    found = set(re.findall(r"^(tests/\w+)/test_\w+\.py:", done.stdout, re.MULTILINE))
    assert found == expected, done.stdout + done.stderr
    told = "left out as slow: tests/acceptance, " in done.stdout
    assert told == ("tests/bench" not in expected)


@pytest.mark.parametrize("ci", [False, True])
def test_missing_program_is_skipped_or_failed(tmp_path: Path, ci: bool) -> None:  # noqa: FBT001
    done = run(write(tmp_path, {"test_needy.py": NEEDS_PROGRAM}), ci=ci)
    assert done.returncode == ci
    assert "no-such-program is missing: apt-get install its-package" in done.stdout


@pytest.mark.parametrize("ci", [False, True])
def test_missing_package_is_skipped_or_failed(tmp_path: Path, ci: bool) -> None:  # noqa: FBT001
    done = run(write(tmp_path, FEW | {"test_needy.py": NEEDS_PACKAGE}), ci=ci)
    assert (done.returncode != 0) == ci
    assert ("skipped, 1: nowhere is missing: pip install -e '.[test-all]'" in done.stdout) != ci


def test_module_of_ours_that_is_missing_fails(tmp_path: Path) -> None:
    needy = NEEDS_PACKAGE.replace("nowhere", "tests")
    assert run(write(tmp_path, FEW | {"test_needy.py": needy})).returncode != 0


@pytest.mark.parametrize(("ci", "workers"), [(False, "0"), (True, "0"), (False, "2")])
def test_run_says_how_far_it_is(tmp_path: Path, ci: bool, workers: str) -> None:  # noqa: FBT001
    done = run(write(tmp_path, FILES), "-n", workers, ci=ci)
    line = r"^(test_\w+)\.py: (.+) in \d+\.\d s  \[(\d+)%, about \d+:\d\d left\]$"
    lines = re.findall(line, done.stdout, re.MULTILINE)
    told = {name: words for name, words, _ in lines}
    expected = {"test_few": "1 passed", "test_many": "9 passed", "test_wrong": "1 failed"}
    assert told == expected, done.stdout
    if workers == "0":
        assert [*told].index("test_many") == (0 if ci else 2)  # the longest
    percents = [int(percent) for *_, percent in lines]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert "FAILED test_wrong.py::test_it" in done.stdout


def test_first_estimate_is_not_wild(tmp_path: Path) -> None:
    """A slow first file says little: 0.5 s for 1 of 200 tests would be 100 s for all."""
    slow = "import time\ndef test_it(): time.sleep(0.5)\n"
    many = "".join(f"def test_{n}(): pass\n" for n in range(199))
    done = run(write(tmp_path, {"test_slow.py": slow, "test_many.py": many}))
    (told,) = re.findall(r"^test_slow\.py: .+about (\d+):(\d\d) left", done.stdout, re.MULTILINE)
    assert int(told[0]) * 60 + int(told[1]) < 60


def test_table_forgets_what_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "durations.json"
    table.write_text('{"tests/gone.py": 5, "tests/conftest.py": 4, "tests/schedule.py": 3}')
    monkeypatch.setattr("tests.schedule.DURATIONS", table)
    save_durations({"tests/schedule.py": 0.01, "tests/programs.py": 2.04})
    assert read_durations() == {"tests/conftest.py": 4, "tests/programs.py": 2.0}
