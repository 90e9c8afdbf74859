"""`worker`: one worker process."""

import click

from receiver.cli.command import command, load_settings, log_unknown
from receiver.telemetry.logs import log_uncaught_errors
from workers.job.context import current_settings
from workers.worker.main import run_worker


@command("worker", "", "--burst")
@click.option("--burst", is_flag=True, help="End when nothing is due.")
def worker(*, burst: bool) -> None:
    """Run a worker, which fetches, splits and stores results."""
    load_settings(on_unknown=log_unknown)
    log_uncaught_errors()
    run_worker(current_settings(), burst=burst)
