"""Whether the model finds what is wrong: `python -m tests.model.planted_faults [--seed N]`.

Each fault of `tests/model/faults.py` is planted in the scripts as they are loaded, and the state
machine runs until it finds it, or has run MAX_SEEDS seeds.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import click

from receiver.inbox.redis import read_script
from tests.model.faults import FAULTS, Fault
from tests.model.model import SCRIPTS
from tests.model.running import run, running_client

MAX_SEEDS = 3
FIRST_LINES = 160  # characters


@dataclass(frozen=True)
class Catch:
    seed: int
    said: str


def is_there(fault: Fault) -> bool:
    """Whether any script holds the text that the fault replaces."""
    return any(fault.right in read_script(name) for name in SCRIPTS)


def catch(fault: Fault, seed: int) -> Catch | None:
    """How the state machine found it."""
    with running_client(fault.plant) as client:
        for number in range(seed, seed + MAX_SEEDS):
            try:
                run(client, number, shrink=False)
            except AssertionError as error:
                return Catch(number, str(error))
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model.planted_faults")
    parser.add_argument("--seed", type=int, default=1)
    seed, missed = parser.parse_args().seed, 0
    for fault in FAULTS:
        begun = time.monotonic()
        found = catch(fault, seed) if is_there(fault) else None
        missed += found is None
        took_s = time.monotonic() - begun
        said = f"seed {found.seed}: {found.said[:FIRST_LINES]}" if found else "NOT FOUND"
        click.echo(f"{fault.name} ({took_s:.0f} s): {said}")
    click.echo(f"{len(FAULTS) - missed} of {len(FAULTS)} planted faults found")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
