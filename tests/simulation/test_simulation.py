"""Some seeds of each run of the tests, other ones by `python -m tests.simulation`."""

import re
import subprocess
import sys

import pytest

from tests.programs import is_ci
from tests.simulation.__main__ import find_planted

SEEDS = 200 if is_ci() else 20
QUICKLY_FOUND = ("outage-counts-attempts", "intent-is-recorded-after-the-call")


def simulate(*argv: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.simulation", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)
def test_books_balance_after_each_seed() -> None:
    result = simulate("--seeds", str(SEEDS))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{SEEDS} seeds, 0 failed" in result.stdout


def test_seed_replays_exactly() -> None:
    """Not only what it came to, but every effect in its order and at its time."""
    first, second, one = (
        simulate("--seed", "14", *more) for more in (["--trace"], ["--trace"], [])
    )
    assert first.returncode == 0, first.stdout + first.stderr
    at = first.stdout.index(" simulated hours in ")  # behind it comes a time that is real
    assert first.stdout[:at] == second.stdout[:at]
    assert first.stdout.count(" #") > 100
    digests = {re.findall(r"digest (\w+)", run.stdout)[0] for run in (first, second, one)}
    assert len(digests) == 1


@pytest.mark.timeout(600)
@pytest.mark.skipif(not is_ci(), reason="runs in CI; here: python -m tests.simulation --planted")
@pytest.mark.parametrize("name", QUICKLY_FOUND)
def test_planted_fault_is_found(name: str) -> None:
    """Two of them: the command tries all, which takes minutes."""
    seed, said = find_planted(name, seeds=SEEDS)
    assert seed is not None, said
