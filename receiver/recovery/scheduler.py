"""The schedule of reconcile looks, in the web process and every worker.

A turn in Redis lets one of them look at each project's list.
"""

import logging
import random
import threading
from collections.abc import Callable

import redis

from receiver.errors import InboxUnavailableError, ReceiverError, ReconcileLockedError
from receiver.gemini.project_client import open_batches
from receiver.recovery.reconcile import ReconcileReport, Reconciliation
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.settings.projects import Project
from receiver.settings.settings import Settings
from receiver.storage import open_storage

ASK_EVERY_S = 5.0  # how soon a look follows a wiped Redis
log = logging.getLogger(__name__)


class ReconcileScheduler:
    """Calls `look` whenever a project's look is due, in a thread of its own until stopped; an interval of 0 never does.

    `look` makes the looks that are due.
    """

    def __init__(self, client: "redis.Redis", settings: Settings, look: Callable[[], None]) -> None:
        self._interval_s = settings.reconcile_interval_s
        self._looks = [
            ReconcileLock(client, self._interval_s, project) for project in settings.projects
        ]
        self._look = look
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)

    def start(self) -> None:
        if self._interval_s:
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._pause_s()):
            try:
                if any(looks.is_due() for looks in self._looks):
                    self._look()
            except InboxUnavailableError as error:
                log.warning("reconcile.skipped", extra={"cause": str(error)})
            except Exception:
                if not self._stopped.is_set():  # what it worked with may have been closed
                    log.exception("reconcile.crashed")

    def _pause_s(self) -> float:
        """Uneven, so that processes started together ask one after the other."""
        return min(ASK_EVERY_S, self._interval_s / 4) * random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing


def look_at_each(settings: Settings, client: "redis.Redis") -> None:
    """Look in this process at the projects whose look is due; one that fails leaves the others theirs."""
    for project in settings.projects.values():
        try:
            look_at(settings, project, client, even_early=False)
        except ReconcileLockedError:
            log.debug("reconcile.held", extra={"project": project.label})
        except ReceiverError as error:
            log.warning("reconcile.failed", extra={"cause": str(error), "project": project.label})


def look_at(
    settings: Settings,
    project: Project,
    client: "redis.Redis",
    *,
    even_early: bool,
    heard: Callable[[int], None] = lambda _: None,
) -> ReconcileReport | None:
    """Look at one project's list; None when it is early. `heard` is told of batches seen.

    Raises what `Reconciliation.run` does, and StorageError.
    """
    with open_batches(settings, project) as batches:
        storage = open_storage(settings.storage_url)
        reconciliation = Reconciliation(
            client, batches, storage, settings.reconcile_interval_s, heard, settings.notices.digests
        )
        return reconciliation.run(even_early=even_early)
