"""Reconcile looks on the schedule of a worker: each in a child process.

The worker forks a work-horse for every job. A look in a thread of the worker would start the bucket client's own
threads, which a fork does not take along: every later job would hang at its first write.
"""

import logging

import redis

from receiver.recovery.scheduler import ReconcileScheduler
from receiver.settings.settings import Settings
from workers.worker.commands import run_command

log = logging.getLogger(__name__)


def look_in_child() -> None:
    """Make a look, when it is due, and wait for it. It logs for itself."""
    code = run_command("reconcile", "--if-due", "--json")
    if code:
        log.warning("reconcile.ended", extra={"code": code})


def start_reconciler(settings: Settings, client: "redis.Redis") -> None:
    """Look when it is due for as long as this process lives."""
    ReconcileScheduler(client, settings, look_in_child).start()
