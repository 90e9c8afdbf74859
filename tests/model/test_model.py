"""The short form: fixed seeds, so that each run is the same. `python -m tests.model` goes on."""

from collections import Counter
from collections.abc import Iterator
from importlib import resources

import pytest

from receiver.inbox.redis import READING
from tests.model.clocked import ClockedRedis
from tests.model.faults import FAULTS, Fault
from tests.model.model import SCRIPTS
from tests.model.planted_faults import catch, is_there
from tests.model.running import run, running_client

SEEDS = (1, 5)  # a minute on a quiet core


# It changes something only after a clock was set back by hours while a notice waited, which few seeds
# come to; tests/receiver/notices has tests of its own for that.
RARE = {"look_for_unattended_notices"}
# These change nothing of the ledger: tests/receiver/inbox compares what they find with plain Python.
OUTSIDE = {"find", "probe"}


@pytest.fixture(scope="module")
def clocked() -> Iterator[ClockedRedis]:
    with running_client() as client:
        yield client


def test_model_knows_every_script() -> None:
    folder = resources.files("receiver.inbox") / "lua"
    found = {entry.name.removesuffix(".lua") for entry in folder.iterdir()}
    assert found == SCRIPTS.keys() | {"prelude", *OUTSIDE}


@pytest.mark.timeout(900)
def test_ledger_is_its_model(clocked: ClockedRedis) -> None:
    effects = sum((run(clocked, number) for number in SEEDS), Counter[str]())
    unreached = SCRIPTS.keys() - effects.keys() - READING - RARE
    assert not unreached, f"nothing came of {unreached}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_can_be_planted(fault: Fault) -> None:
    assert is_there(fault), "no script holds what it replaces"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS[:3], ids=lambda fault: fault.name)
def test_planted_fault_is_found(fault: Fault) -> None:
    """`python -m tests.model.planted_faults` tries all of them."""
    assert catch(fault, seed=1)


def test_seed_makes_the_same_run_again() -> None:
    assert catch(FAULTS[0], seed=1) == catch(FAULTS[0], seed=1)
