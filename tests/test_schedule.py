"""How the tests themselves run: what is left out, skipped or failed, in which order, and what is said meanwhile."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.schedule import ROOT, SLOW, read_durations, save_durations


def run_pytest(*arguments: str, cwd: Path, ci: bool = False) -> "subprocess.CompletedProcess[str]":
    environ = {
        name: value
        for name, value in os.environ.items()
        if name != "CI" and not name.startswith("PYTEST_")
    }
    environ |= {"PYTHONPATH": str(ROOT)} | ({"CI": "true"} if ci else {})
    argv = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(
        argv, cwd=cwd, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def run(folder: Path, *options: str, ci: bool = False) -> "subprocess.CompletedProcess[str]":
    """Our pytest on the files of a folder."""
    ours = ("-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "--rootdir", str(folder))
    return run_pytest(*ours, *options, str(folder), cwd=folder, ci=ci)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_many.py").write_text("".join(f"def test_{n}(): pass\n" for n in range(9)))
    (tmp_path / "test_few.py").write_text("def test_one(): pass\n")
    return tmp_path


def test_files_that_are_named_are_there() -> None:
    assert [path for path in SLOW if not (ROOT / path).exists()] == []
    durations = read_durations()
    gone = [path for path in durations if not (ROOT / path).exists()]
    assert len(gone) < len(durations) / 5, (
        "CI=1 python -m pytest -n 2 --save-durations writes durations.json anew"
    )


@pytest.mark.parametrize(
    ("ci", "named", "expected"),
    [
        (False, [], {"tests/fuzz"}),
        (True, [], {"tests/fuzz", "tests/bench"}),
        (False, ["tests/bench/test_bench.py"], {"tests/bench"}),
    ],
)
def test_slow_files_are_left_out_unless_named(
    ci: bool, named: list[str], expected: set[str]
) -> None:  # noqa: FBT001
    few = ("-o", "testpaths=tests/fuzz tests/bench")
    done = run_pytest("--collect-only", *few, *named, ci=ci, cwd=ROOT)
    found = set(re.findall(r"^(tests/\w+)/test_\w+\.py:", done.stdout, re.MULTILINE))
    assert found == expected, done.stdout + done.stderr
    assert ("left out as slow: tests/acceptance, " in done.stdout) == (
        "tests/bench" not in expected
    )


@pytest.mark.parametrize("ci", [False, True])
def test_missing_package_is_skipped_or_failed(folder: Path, ci: bool) -> None:  # noqa: FBT001
    (folder / "test_needy.py").write_text("import nowhere.to_be_found\ndef test_it(): pass\n")
    done = run(folder, ci=ci)
    assert (done.returncode != 0) == ci
    assert ("nowhere is missing: pip install -e '.[test-all]'" in done.stdout) != ci


@pytest.mark.parametrize("ci", [False, True])
def test_missing_program_is_skipped_or_failed(folder: Path, ci: bool) -> None:  # noqa: FBT001
    needy = 'from tests.programs import require\ndef test_it(): require("no-such-program", "its-package")\n'
    (folder / "test_needy.py").write_text(needy)
    done = run(folder, ci=ci)
    assert (done.returncode != 0) == ci
    assert "no-such-program is missing: apt-get install its-package" in done.stdout


def test_module_of_ours_that_is_missing_fails(folder: Path) -> None:
    (folder / "test_needy.py").write_text("import tests.no_such_module\ndef test_it(): pass\n")
    assert run(folder).returncode != 0


@pytest.mark.parametrize("ci", [False, True])
def test_short_files_come_first_and_in_ci_last(folder: Path, ci: bool) -> None:  # noqa: FBT001
    said = run(folder, ci=ci).stdout
    assert (said.index("test_few.py") < said.index("test_many.py")) != ci


@pytest.mark.parametrize("workers", ["0", "2"])
def test_run_says_how_far_it_is(folder: Path, workers: str) -> None:
    (folder / "test_wrong.py").write_text("def test_it(): assert False\n")
    done = run(folder, "-n", workers)
    lines = re.findall(
        r"^(test_\w+)\.py: (.+) in \d+\.\d s  \[(\d+)%, about \d+:\d\d left\]$",
        done.stdout,
        re.MULTILINE,
    )
    told = {name: words for name, words, _ in lines}
    assert told == {"test_few": "1 passed", "test_many": "9 passed", "test_wrong": "1 failed"}
    percents = [int(percent) for *_, percent in lines]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert "FAILED test_wrong.py::test_it" in done.stdout


def test_table_of_durations_forgets_what_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "durations.json"
    table.write_text('{"tests/gone.py": 5, "tests/conftest.py": 4, "tests/schedule.py": 3}')
    monkeypatch.setattr("tests.schedule.DURATIONS", table)
    save_durations({"tests/schedule.py": 0.01, "tests/programs.py": 2.04})
    assert read_durations() == {"tests/conftest.py": 4, "tests/programs.py": 2.0}
