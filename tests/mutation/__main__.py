"""`python -m tests.mutation`: faults put into the core one by one, to see which the tests miss."""

import os
import random
import sys
from collections.abc import Sequence

import click

from tests.mutation.lua import Mutant
from tests.mutation.lua_run import list_mutants, run_lua
from tests.mutation.python_run import MODULES, run_python
from tests.mutation.survivors import Score

jobs_option = click.option(
    "--jobs", default=os.cpu_count() or 1, show_default=True, help="Mutants at a time."
)


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Put one small fault at a time into the core: which do the tests miss?

    Without a command, into all scripts and modules. Exit code 1 when a mutant lives that
    `tests/mutation/survivors.toml` does not excuse, or dies though it is excused there.
    """
    if context.invoked_subcommand is None:
        jobs = os.cpu_count() or 1
        scores = run_python(list(MODULES), jobs), run_lua(list_mutants(), jobs, click.echo)
        as_listed = [conclude(score) for score in scores]
        sys.exit(not all(as_listed))


@main.command()
@click.option("--sample", type=int, help="So many, drawn by --seed; otherwise all.")
@click.option("--seed", default=1, show_default=True)
@click.option("--only", default="", help="Scripts whose name begins with this.")
@jobs_option
def lua(sample: int | None, seed: int, only: str, jobs: int) -> None:
    """Mutants of the scripts in receiver/inbox/lua: dropped calls, flipped and swapped tokens."""
    mutants = [one for one in list_mutants() if one.script.startswith(only)]
    sys.exit(not conclude(run_lua(draw(mutants, sample, seed), jobs, click.echo)))


@main.command()
@click.option("--only", default="", help="Modules whose name holds this.")
@jobs_option
def python(only: str, jobs: int) -> None:
    """Mutants of the pure modules, made by mutmut."""
    modules = [one for one in MODULES if only in one]
    sys.exit(not conclude(run_python(modules, jobs)))


def draw(mutants: Sequence[Mutant], sample: int | None, seed: int) -> list[Mutant]:
    """A sample of mutants; the same seed draws the same ones."""
    if sample is None:
        return list(mutants)
    return random.Random(seed).sample(mutants, min(sample, len(mutants)))


def conclude(score: Score) -> bool:
    """Print what became of the mutants; whether it is as the list says."""
    for one in score.unexcused:
        click.echo(f"{one.where}\n{one.change}\n")
    for one in score.stale:
        click.echo(f"killed, so take it from the list: {one.where}\n{one.change}\n")
    click.echo(score.describe())
    return not (score.unexcused or score.stale)


if __name__ == "__main__":
    main()
