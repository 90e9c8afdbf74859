"""The short form of every part. The long forms are run by hand: `python -m tests.fuzz --seed 1`."""

import os
from pathlib import Path

import pytest

from tests.fuzz.__main__ import PARTS, run

pytestmark = pytest.mark.skipif(
    "CI" not in os.environ, reason="runs in CI; here: python -m tests.fuzz --short"
)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", PARTS)
def test_bars_are_held(name: str, tmp_path: Path) -> None:
    report = run(name, tmp_path / name, seed=1, size=None, short=True)
    assert report.misses == [], report.line
