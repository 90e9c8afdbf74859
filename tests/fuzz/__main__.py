"""Throws what nobody should send at the receiver: `python -m tests.fuzz [name ...] --seed N [--short]`.

Each part prints one line of figures. The exit code is 1 when a bar was missed; what was sent stands there in base64.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from tests.chaos.report import Report
from tests.fuzz import deliveries, floods, requests, slow

# Of each part: what it runs, its full size and its short one; of floods in MiB.
PARTS: dict[str, tuple[Callable[[Path, int, int], Report], int, int]] = {
    "deliveries": (deliveries.fuzz_deliveries, 200_000, 20_000),
    "requests": (requests.fuzz_requests, 10_000, 2_000),
    "slow": (slow.run_slow_clients, 1_000, 100),
    "crowd": (slow.run_crowd, 10_000, 1_000),
    "floods": (floods.flood, 1_024, 64),
}


def run(name: str, folder: Path, seed: int, size: int | None, *, short: bool) -> Report:
    part, full, few = PARTS[name]
    return part(folder, seed, size or (few if short else full))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--seed", type=int, default=1)
    for name, (_, full, few) in PARTS.items():
        parser.add_argument(
            f"--{name}", type=int, help=f"how many; {full:,}, or {few:,} with --short"
        )
    parser.add_argument(
        "--short", action="store_true", help="small sizes: all parts take about a minute"
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    return arguments


def main() -> int:
    arguments, missed = read_arguments(), False
    for name in arguments.names or PARTS:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            report = run(
                name, Path(folder), arguments.seed, getattr(arguments, name), short=arguments.short
            )
        click.echo(f"{report.line} ({name}, {time.monotonic() - begun:.0f} s)")
        for miss in report.misses + report.late:
            click.echo(f"  MISSED: {miss}")
        missed |= bool(report.misses + report.late)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
