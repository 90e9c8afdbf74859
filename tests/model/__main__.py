"""Explores the ledger against its model: `python -m tests.model --minutes 60 --seed N`.

Each seed is a fixed number of runs of a fixed number of steps; the next seed follows while there is
time. A seed that fails is named, and makes the same failure again without `--minutes`.
"""

import argparse
import sys
import time
from collections import Counter

import click

from tests.model.running import EXAMPLES, run, running_client


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--minutes", type=float, default=0, help="for so long; else one seed")
    arguments = parser.parse_args()
    begun, number, calls = time.monotonic(), arguments.seed, Counter[str]()
    with running_client() as client:
        while number == arguments.seed or time.monotonic() - begun < arguments.minutes * 60:
            try:
                calls += run(client, number)
            except AssertionError as error:
                click.echo(f"model of the ledger, seed {number}: REFUSED")
                click.echo("\n".join([*error.__notes__, str(error)]))
                return 1
            number += 1
    runs, took_s = (number - arguments.seed) * EXAMPLES, time.monotonic() - begun
    click.echo(
        f"model of the ledger, seeds {arguments.seed} to {number - 1}: none refused of {runs} runs"
        f" with {calls.total()} calls that changed something ({took_s:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
