"""What a worker does beside its jobs: reconcile runs and notices, each in a child process.

A worker forks for every job, and a fork takes locks along, but not the threads that hold them. A
thread of the worker that resolved a name, opened a TLS connection or started the bucket client's
own threads at that moment would leave every later job hanging. So the worker's threads only ask
Redis, and commands in child processes do the rest.
"""

import logging
import random
import subprocess
import sys
import threading
import time

import redis

from receiver.errors import InboxUnavailableError
from receiver.notices.queue import NoticeQueue
from receiver.recovery.scheduler import ReconcileScheduler
from receiver.settings.settings import Settings

ASK_EVERY_S = 2.0
log = logging.getLogger(__name__)


def run_command(*words: str) -> int:
    """Run one of our commands and wait for it; it logs its own errors. Returns its exit code."""
    # -P: a folder `workers` in the working folder is somebody else's
    argv = (sys.executable, "-P", "-m", "workers", "--log-errors", *words)
    nowhere = subprocess.DEVNULL
    # With close_fds, Python forks instead of spawning, and waits on a pipe that a job's process
    # forked at this moment would hold open.
    return subprocess.run(
        argv, stdin=nowhere, stdout=nowhere, close_fds=False, check=False
    ).returncode


def start_reconcile_runs(settings: Settings, client: "redis.Redis") -> None:
    """Run reconcile when it is due, for as long as this process lives."""
    ReconcileScheduler(client, settings, _reconcile).start()


def _reconcile() -> None:
    code = run_command("reconcile", "--if-due", "--json")
    if code:
        log.warning("reconcile.ended", extra={"code": code})


def start_notices(settings: Settings, client: "redis.Redis") -> None:
    """Send notices that no web process sends, for as long as this process lives."""
    if settings.notices.targets:
        args = (settings, client)
        threading.Thread(target=_send_notices, args=args, name="notices", daemon=True).start()


def _send_notices(settings: Settings, client: "redis.Redis") -> None:
    queues = [NoticeQueue(client, target.digest) for target in settings.notices.targets]
    while True:
        time.sleep(ASK_EVERY_S * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing
        try:
            if any(queue.is_unattended() for queue in queues):
                send_due_notices(settings)
        except InboxUnavailableError as error:
            log.warning("notices.skipped", extra={"cause": str(error)})
        except Exception:
            log.exception("notices.failed")


def send_due_notices(settings: Settings) -> None:
    """Send what is due, and wait until that ends; the command logs its own errors."""
    if not settings.notices.targets:
        return
    code = run_command("notices", "send", "--json")
    if code:
        log.warning("notices.ended", extra={"code": code})
