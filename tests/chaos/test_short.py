"""The short form of every scenario. The long forms are run by hand: `python -m tests.chaos --seed 1`.

They mostly wait, so several run at once. How fast each was says nothing then, and does not count.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from deploy.sandbox.processes import die_with_parent
from tests.chaos.__main__ import SCENARIOS, run
from tests.chaos.networks import find_hindrance
from tests.chaos.versions import has_history
from tests.programs import give_up, require
from tests.system_calls import require_strace

pytestmark = pytest.mark.skipif(
    "CI" not in os.environ, reason="runs in CI; here: python -m tests.chaos --short"
)
AT_ONCE = 4
LIMIT_S = 240
LONGEST = {"two-versions", "cut-host", "hosts", "disk-faults"}  # begun first
BY_FAKETIME = {"fences", "duplicates", "unfit", "growth"}


class HungError(Exception):
    """The scenario took too long."""


def enter() -> None:
    """Of each process that runs scenarios: it ends with ours, and what hangs is ended by a signal."""
    die_with_parent()
    signal.signal(signal.SIGALRM, raise_hung)


def raise_hung(*_: object) -> None:
    raise HungError(f"not done within {LIMIT_S} s")


def run_short(name: str) -> tuple[bool, str]:
    """Whether the scenario held its bars, and what it said."""
    signal.alarm(LIMIT_S)
    try:
        report = run(name, 1, None, short=True)
    finally:
        signal.alarm(0)
    return not report.misses, "\n".join((report.line, *report.below()))


Runs = dict[str, "Future[tuple[bool, str]]"]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """In as many processes as may run at once: most of a scenario's own start are imports."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(AT_ONCE, mp_context=fresh, initializer=enter) as pool:
        names = sorted(SCENARIOS, key=lambda name: name not in LONGEST)
        yield {name: pool.submit(run_short, name) for name in names}
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
    held, said = runs[name].result()
    assert held, said
