"""The schedule of reconcile looks, in the web process and every worker; the turn in Redis lets one of them look."""

import logging
import random
import threading
from collections.abc import Callable

import redis

from receiver.errors import InboxUnavailableError, LookHeldError, ReceiverError
from receiver.gemini import Gemini
from receiver.looks import Looks
from receiver.reconcile import Reconciliation
from receiver.settings import Settings
from receiver.storage import open_storage

ASK_EVERY_S = 5.0  # how soon a look follows a wiped Redis
log = logging.getLogger(__name__)


class Reconciler:
    """Calls `look` whenever a look is due, in a thread of its own until stopped; an interval of 0 never does."""

    def __init__(self, client: "redis.Redis", interval_s: float, look: Callable[[], None]) -> None:
        self._looks = Looks(client, interval_s)
        self._interval_s = interval_s
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
                if self._looks.is_due():
                    self._look()
            except LookHeldError:
                log.debug("reconcile.held")
            except InboxUnavailableError as error:
                log.warning("reconcile.skipped", extra={"cause": str(error)})
            except ReceiverError as error:
                log.warning("reconcile.failed", extra={"cause": str(error)})
            except Exception:
                if not self._stopped.is_set():  # what it worked with may have been closed
                    log.exception("reconcile.crashed")

    def _pause_s(self) -> float:
        """Uneven, so that processes started together ask one after the other."""
        return min(ASK_EVERY_S, self._interval_s / 4) * random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing


def look_once(settings: Settings, client: "redis.Redis") -> None:
    """A look in this process, when it is due. Raises ReceiverError."""
    with Gemini(settings.base_url, settings.api_key, settings.api_version) as gemini:
        storage = open_storage(settings.storage_url)
        Reconciliation(client, gemini, storage, settings.reconcile_interval_s).run(even_early=False)
