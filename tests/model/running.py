"""Runs the state machine, so that a seed makes the same run anywhere."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from deploy.sandbox.valkey import running_valkey
from tests.model.clocked import ClockedRedis, Edit, clocked_client
from tests.model.other_rules import Everything

EXAMPLES, STEPS = 150, 60  # of one seed


@contextmanager
def running_client(edit: Edit = str) -> Iterator[ClockedRedis]:
    """Of a Valkey for the length of a `with`, which keeps nothing on disk."""
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        options = ("--appendonly", "no")
        with running_valkey(Path(folder), *options) as url, clocked_client(url, edit) as client:
            yield client


def run(
    client: ClockedRedis, number: int, examples: int = EXAMPLES, *, shrink: bool = True
) -> "Counter[str]":
    """One seed. Gives how many calls changed something, by script.

    Raises AssertionError with the shortest run that fails.
    """

    @seed(number)
    class Machine(Everything):
        pass

    Machine.client, Machine.effects = client, Counter()
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=phases,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Machine, settings=chosen)
    except AssertionError as error:
        error.add_note(f"again: python -m tests.model --seed {number}")
        raise
    return Machine.effects
