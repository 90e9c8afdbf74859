"""The short form of every scenario. The long forms are run by hand: `python -m tests.chaos --seed 1`.

They mostly wait, so several run at once. How fast each was says nothing then, and does not count.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.sandbox.processes import start, stop
from tests.chaos.__main__ import SCENARIOS
from tests.chaos.networks import find_hindrance
from tests.chaos.versions import has_history
from tests.programs import give_up, require
from tests.system_calls import require_strace

pytestmark = pytest.mark.skipif(
    "CI" not in os.environ, reason="runs in CI; here: python -m tests.chaos --short"
)
AT_ONCE = 3
LIMIT_S = 240
LONGEST = {"two-versions", "cut-host", "hosts", "disk-faults"}  # begun first
BY_FAKETIME = {"fences", "duplicates", "unfit", "growth"}


def run(name: str, folder: Path) -> tuple[int | None, str]:
    """Gives the exit code, None when it took too long, and what the scenario said."""
    output = folder / f"{name}.txt"
    with output.open("wb") as file:
        process = start(
            [sys.executable, "-m", "tests.chaos", name, "--short", "--any-speed"], stdout=file
        )
    try:
        code: int | None = process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        stop(process)
    return code, output.read_text()


Runs = dict[str, "Future[tuple[int | None, str]]"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("chaos")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        names = sorted(SCENARIOS, key=lambda name: name not in LONGEST)
        yield {name: pool.submit(run, name, folder) for name in names}
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SCENARIOS)
def test_bars_are_held(name: str, runs: Runs) -> None:
    if name in BY_FAKETIME:
        require("faketime")
    if name == "disk-faults":
        require_strace()
    if name in {"hosts", "cut-host"} and (hindrance := find_hindrance()):
        give_up("a network of its own", hindrance)
    if name == "two-versions" and not has_history():
        pytest.skip(
            "a shallow clone lacks the older version: git fetch --unshallow"
        )  # nothing to install
    code, said = runs[name].result()
    assert code == 0, said
