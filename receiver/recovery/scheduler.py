"""When reconcile runs are made: the web process and every worker ask whether one is due.

A lock in Redis lets one of them reconcile a project at a time.
"""

import logging
import random
import threading
from collections.abc import Callable

import redis

from receiver.errors import InboxUnavailableError, ReceiverError, ReconcileLockedError
from receiver.gemini.project_client import open_client
from receiver.recovery.reconcile import ReconcileReport, Reconciliation, Webhooks
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.recovery.webhook_expectation import expects_webhooks
from receiver.settings.projects import Project
from receiver.settings.settings import Settings
from receiver.storage import open_storage

ASK_EVERY_S = 5.0  # how soon a run follows a wiped Redis
log = logging.getLogger(__name__)


class ReconcileScheduler:
    """Calls `reconcile` when a project's run is due, in a thread, until stopped.

    An interval of 0 turns it off.
    """

    def __init__(
        self, client: "redis.Redis", settings: Settings, reconcile: Callable[[], None]
    ) -> None:
        """`reconcile` makes the runs that are due."""
        self._interval_s = settings.reconcile_interval_s
        self._locks = [
            ReconcileLock(client, self._interval_s, project) for project in settings.projects
        ]
        self._reconcile = reconcile
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
                if any(lock.is_due() for lock in self._locks):
                    self._reconcile()
            except InboxUnavailableError as error:
                log.warning("reconcile.skipped", extra={"cause": str(error)})
            except Exception:
                if not self._stopped.is_set():  # else the client may have been closed
                    log.exception("reconcile.crashed")

    def _pause_s(self) -> float:
        """Uneven, so that processes started together ask one after the other."""
        spread = random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing
        return min(ASK_EVERY_S, self._interval_s / 4) * spread


def reconcile_due_projects(settings: Settings, client: "redis.Redis") -> None:
    """Make every project's run that is due; the failure of one is logged, and the others go on."""
    for project in settings.projects.values():
        try:
            reconcile_project(settings, project, client, force=False)
        except ReconcileLockedError:
            log.debug("reconcile.held", extra={"project": project.label})
        except ReceiverError as error:
            log.warning("reconcile.failed", extra={"cause": str(error), "project": project.label})


def reconcile_project(
    settings: Settings,
    project: Project,
    client: "redis.Redis",
    *,
    force: bool,
    on_progress: Callable[[int], None] = lambda _: None,
) -> ReconcileReport | None:
    """Reconcile one project; None when no run is due, unless `force`.

    A forced run was asked for by a person, so it leaves no batch to a webhook. `on_progress` gets
    numbers of batches that were listed. Raises what `Reconciliation.run` does, and StorageError.
    """
    webhooks: Webhooks = "expected" if force else "awaited"
    if not expects_webhooks(client, settings, project):
        webhooks = "none"
    with open_client(settings, project) as batches:
        return Reconciliation(
            client,
            batches,
            open_storage(settings.storage_url),
            settings.reconcile_interval_s,
            on_progress,
            settings.notices.digests,
            webhooks,
        ).run(force=force)
