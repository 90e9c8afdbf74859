"""The short form of every scenario. The long forms are run by hand: `python -m tests.chaos --seed 1`."""

import os
import shutil
from pathlib import Path

import pytest

from tests.chaos.__main__ import SCENARIOS
from tests.chaos.report import Options

pytestmark = pytest.mark.skipif("CI" not in os.environ, reason="runs in CI; here: python -m tests.chaos --short")
BY_FAKETIME = {"fences", "duplicates"}


def require(program: str) -> None:
    if shutil.which(program) is None:
        explain = pytest.fail if os.environ.get("CI") else pytest.skip
        explain(f"{program} is missing: apt-get install {program}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", SCENARIOS)
def test_bars_are_held(name: str, tmp_path: Path) -> None:
    if name in BY_FAKETIME:
        require("faketime")
    report = SCENARIOS[name](Options(tmp_path / name, seed=1, events=None, short=True))
    assert report.misses == [], report.line
