"""The program's entry point: the receiver's commands, and those that need the workers' side."""

import click

import receiver.cli.doctor
import receiver.cli.replay
import receiver.cli.serve  # noqa: F401 - they add their commands to the group
from receiver.cli.group import cli, load_settings
from workers.configuration import current_settings
from workers.worker import run_worker

main = cli


@cli.command()
@click.option("--burst", is_flag=True, help="End when nothing is due.")
def worker(*, burst: bool) -> None:
    """Run a worker: fetch results, split them, store them."""
    load_settings()
    run_worker(current_settings(), burst=burst)
