"""Runs seeds, and says which of them did not balance."""

import argparse
import gc
import logging
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.simulation.books import find_problems
from tests.simulation.planted import PLANTED
from tests.simulation.redis_wire import Wire
from tests.simulation.world import World

COLLECT_EVERY = 20  # seeds; the collector would otherwise end coroutines at any moment


@dataclass(frozen=True)
class Verdict:
    """What became of one seed."""

    seed: int
    problems: list[str]
    digest: int  # of every effect and event, in order
    effects: int
    simulated_s: float
    batches: int
    faults: dict[str, int] = field(default_factory=dict)


def run_seed(
    seed: int, wire: Wire, folder: Path, say: Callable[[str], None] | None = None
) -> Verdict:
    """Run one seed to its end."""
    world = World(seed, wire, folder, say)
    begun_ns = world.scheduler.now_ns
    is_quiet = world.run()
    simulated_s = (world.scheduler.now_ns - begun_ns) / 1e9
    problems = find_problems(world)
    if not is_quiet:
        problems.append("something is owed for ever")
    verdict = Verdict(
        seed,
        problems,
        world.effects.digest,
        world.effects.count,
        simulated_s,
        len(world.gemini.batches()),
        dict(world.faults.met),
    )
    world.stop()
    return verdict


@dataclass
class Totals:
    """What some seeds came to."""

    seeds: int = 0
    failed: list[int] = field(default_factory=list)
    effects: int = 0
    batches: int = 0
    simulated_s: float = 0
    digest: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        self.seeds += 1
        self.effects += verdict.effects
        self.batches += verdict.batches
        self.simulated_s += verdict.simulated_s
        self.digest = zlib.crc32(b"%d" % verdict.digest, self.digest)
        self.faults.update(verdict.faults)
        if verdict.problems:
            self.failed.append(verdict.seed)

    def line(self, seconds: float) -> str:
        return (
            f"{self.seeds} seeds, {len(self.failed)} failed: {self.effects:,} effects,"
            f" {sum(self.faults.values()):,} faults, {self.batches:,} batches,"
            f" {self.simulated_s / 3600:.0f} simulated hours in {seconds:.0f} s;"
            f" digest {self.digest:08x}"
        )


def run_all(arguments: argparse.Namespace, wire: Wire, folder: Path) -> int:
    """Run the seeds that were asked for; gives the exit code."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # of what killed processes left open
    gc.disable()
    if arguments.plant is not None:
        PLANTED[arguments.plant](wire)
    first, count = arguments.first, arguments.seeds
    if arguments.seed is not None:
        first, count = arguments.seed, 1
    begun, totals = time.perf_counter(), Totals()
    for seed in range(first, first + count):
        verdict = run_seed(seed, wire, folder, click.echo if arguments.trace else None)
        totals.add(verdict)
        if verdict.problems:
            _tell(verdict, arguments.plant)
            if arguments.stop:
                break
        if seed % COLLECT_EVERY == 0:
            gc.collect()
            gc.freeze()  # what is left is the modules
    click.echo(totals.line(time.perf_counter() - begun))
    for fault, times in sorted(totals.faults.items()) if arguments.faults else ():
        click.echo(f"{times:8,}  {fault}")
    return int(bool(totals.failed))


def _tell(verdict: Verdict, plant: str | None) -> None:
    planted = f" --plant {plant}" if plant else ""
    command = f"python -m tests.simulation --seed {verdict.seed} --trace{planted}"
    click.echo(f"seed {verdict.seed} failed: `{command}`")
    for problem in verdict.problems:
        click.echo(f"  {problem}")
