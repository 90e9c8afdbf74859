"""Runs the whole system by seeds: `python -m tests.simulation --seeds 200 --from 1`.

Each seed is one order of events with its own faults, on a clock that is only stepped. At its end
the books must balance. `--seed N --trace` runs one again and prints every effect and event.
"""

import argparse
import importlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey

SHARED_MEMORY = Path("/dev/shm")
OPTIONS = ("--appendonly", "no", "--lua-time-limit", "0")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many; default 200")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first one")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="print every effect and event")
    parser.add_argument("--plant", metavar="NAME", help="put this fault into the product first")
    parser.add_argument("--planted", action="store_true", help="see that each of them is found")
    parser.add_argument("--faults", action="store_true", help="say how often each fault befell")
    parser.add_argument("--stop", action="store_true", help="stop at the first that fails")
    return parser.parse_args(argv)


def find_planted(name: str, seeds: int, first: int = 1) -> tuple[int | None, str]:
    """Run seeds with a fault in the product until one fails; gives it and what was said."""
    argv = ["--plant", name, "--seeds", str(seeds), "--from", str(first), "--stop"]
    command = [sys.executable, "-m", "tests.simulation", *argv]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    said = run.stdout + run.stderr
    found = re.match(r"seed (\d+) failed", said)
    return (int(found[1]) if found else None), said


def find_all_planted(seeds: int, first: int) -> int:
    """See that each planted fault is found; gives the exit code."""
    missed = 0
    for name in importlib.import_module("tests.simulation.planted").PLANTED:
        seed, said = find_planted(name, seeds, first)
        missed += seed is None
        how = said.splitlines()[1].strip()[:100] if seed is not None else "NOT FOUND"
        click.echo(f"{name}: seed {seed}: {how}")
    return int(bool(missed))


def main(argv: list[str]) -> int:
    arguments = parse(argv)
    if arguments.planted:
        return find_all_planted(arguments.seeds, arguments.first)
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set must not differ
        command = [sys.executable, "-m", "tests.simulation", *argv]
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, command, environment)
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=place) as folder:
        socket = Path(folder) / "valkey.sock"
        options = (*OPTIONS, "--unixsocket", str(socket))
        valkey = start_valkey(Path(folder), allocate_port(), *options)
        try:
            wire = importlib.import_module("tests.simulation.seams").install(socket)
            run = importlib.import_module("tests.simulation.run")
            code: int = run.run_all(arguments, wire, Path(folder) / "world")
            return code
        finally:
            stop(valkey)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
