"""`worker`: one worker process."""

import click

from receiver.cli.command import command, load_settings, warn_of_unknown
from receiver.telemetry.logs import log_uncaught_errors
from workers.job.context import current_settings
from workers.worker.main import run_worker


@command("worker", "", "--burst")
@click.option("--burst", is_flag=True, help="End when nothing is due.")
def worker(*, burst: bool) -> None:
    """Run a worker, which fetches, splits and stores results."""
    settings = load_settings()
    log_uncaught_errors()
    warn_of_unknown(settings)
    run_worker(current_settings(), burst=burst)
