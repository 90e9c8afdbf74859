"""Sends notices from a worker, when nobody else does: in a child process.

The worker forks a work-horse for every job. A thread of the worker that resolves a name or opens a TLS connection at
that moment would leave its locks held in the work-horse for ever; this one only asks Redis.
"""

import logging
import random
import threading
import time

import redis

from receiver.errors import InboxUnavailableError
from receiver.notices.queue import NoticeQueue
from receiver.settings.settings import Settings
from workers.worker.commands import run_command

ASK_EVERY_S = 2.0
log = logging.getLogger(__name__)


def send_what_is_due(settings: Settings) -> None:
    """Send it, and wait for the end of that. It logs for itself."""
    if not settings.notices.targets:
        return
    code = run_command("notices", "send", "--json")
    if code:
        log.warning("notices.ended", extra={"code": code})


def start_courier(settings: Settings, client: "redis.Redis") -> None:
    """Send what no web process looks after, for as long as this process lives."""
    if settings.notices.targets:
        threading.Thread(target=_run, args=(settings, client), name="notices", daemon=True).start()


def _run(settings: Settings, client: "redis.Redis") -> None:
    queues = [NoticeQueue(client, target.digest) for target in settings.notices.targets]
    while True:
        time.sleep(ASK_EVERY_S * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing
        try:
            if any(queue.is_unattended() for queue in queues):
                send_what_is_due(settings)
        except InboxUnavailableError as error:
            log.warning("notices.skipped", extra={"cause": str(error)})
        except Exception:
            log.exception("notices.failed")
