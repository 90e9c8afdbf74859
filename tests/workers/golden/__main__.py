"""`python -m tests.workers.golden`: records the golden corpus, or writes a case out to look at."""

import tempfile
from pathlib import Path

import click

from tests.workers.golden.corpus import CASES
from tests.workers.golden.digests import digest_case, store_case, write_recorded


@click.group()
def main() -> None:
    """What the split made of hostile results in an earlier version, for comparison."""


@main.command()
def record() -> None:
    """Take what this version makes as right from now on: after an intended change of outputs."""
    digests = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            digests[name] = digest_case(case, Path(folder))
    write_recorded(digests)
    click.echo(f"recorded {len(digests)} cases")


@main.command()
@click.argument("name", type=click.Choice(tuple(CASES)))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def write(name: str, folder: Path) -> None:
    """Store one case in FOLDER, to compare it with that of another version by `diff -r`."""
    store_case(CASES[name], folder)


if __name__ == "__main__":
    main()
