"""Sends what is owed, target by target.

In the web process a thread a target does so all the time. A worker forks, and what another thread of it held at that
moment (the resolver's locks, for one) would stay locked in its work-horse for ever: see `workers.worker.background`.
"""

import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import redis

from receiver.errors import InboxUnavailableError, NoticeError
from receiver.gemini.transport import trusted_certificates
from receiver.notices.http_client import Acknowledged, post
from receiver.notices.payloads import encode_payload
from receiver.notices.queue import Claimed, NoticeQueue, Result
from receiver.notices.schedule import plan_next_s
from receiver.notices.signing import sign
from receiver.notices.slack import encode_text
from receiver.retry import jittered
from receiver.settings.notice_targets import NoticeSettings, Target

IDLE_S = 1.0
AWAY_S = 5.0  # while Redis is away
STOP_S = 1.0  # for a try that goes on at the end: the whole process must be gone in five
log = logging.getLogger(__name__)


def send(settings: NoticeSettings, target: Target, notice: Claimed) -> Acknowledged:
    """One try. Raises NoticeError."""
    if notice.type is None:
        raise NoticeError(
            "it is in no form of ours: somebody else wrote it into Redis", is_final=True
        )
    if target.kind == "slack":
        body, headers = encode_text(notice.type, notice.batch, notice.data), dict[str, str]()
    else:
        body = encode_payload(notice.type, notice.batch, notice.owed_ms, notice.data)
        headers = sign(settings.secrets, notice.message_id, time.time(), body)
    return post(target, body, headers, trusted_certificates(), private=settings.private)


class TargetDispatcher:
    """Brings one target what it is owed."""

    def __init__(self, settings: NoticeSettings, target: Target, client: "redis.Redis") -> None:
        self._settings, self._target = settings, target
        self._queue = NoticeQueue(client, target.digest)

    def bring_one(self) -> Result | None:
        """Try one notice that is due; None when there is none. Raises InboxUnavailableError."""
        notice = self._queue.claim()
        if notice is None:
            return None
        about: dict[str, object] = {
            "notice": notice.name,
            "batch": notice.batch,
            "host": self._target.host,
        }
        try:
            heard = send(self._settings, self._target, notice)
        except NoticeError as error:
            return self._come_again(notice, error, about)
        except Exception as error:
            log.exception("notice.crashed", extra=about)
            return self._come_again(
                notice, NoticeError(f"unexpected {type(error).__name__}"), about
            )
        self._queue.delivered(notice)
        log.info("notice.delivered", extra=about | {"type": notice.type, "status": heard.status})
        return "delivered"

    def bring_all(self) -> Counter[Result]:
        """Try everything that is due. Raises InboxUnavailableError."""
        return Counter(iter(self.bring_one, None))

    def _come_again(self, notice: Claimed, error: NoticeError, about: dict[str, object]) -> Result:
        tries, cause = notice.tries + 1, str(error)
        about |= {"cause": cause, "tries": tries}
        delay_s = (
            plan_next_s(tries, self._settings.retry_base_s, error.retry_after_s)
            if error.retryable
            else None
        )
        if delay_s is None:
            self._queue.mark_dead(notice, cause)
            log.error("notice.dead", extra=about)
            return "dead"
        self._queue.postpone(notice, jittered(delay_s), cause)
        log.warning("notice.postponed", extra=about | {"delay_s": round(delay_s, 1)})
        return "failed"


def send_due(settings: NoticeSettings, client: "redis.Redis") -> Counter[Result]:
    """Try what is due now, all targets at once. Raises InboxUnavailableError."""
    couriers = [TargetDispatcher(settings, target, client) for target in settings.targets]
    if not couriers:
        return Counter()
    with ThreadPoolExecutor(len(couriers)) as pool:
        return sum(pool.map(TargetDispatcher.bring_all, couriers), Counter())


class Dispatcher:
    """A courier for every target, each in a thread of its own, from `start` to `stop`."""

    def __init__(self, settings: NoticeSettings, client: "redis.Redis") -> None:
        self._couriers = [TargetDispatcher(settings, target, client) for target in settings.targets]
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(courier,), name="notices", daemon=True)
            for courier in self._couriers
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let tries that go on come to their end, for a moment: one that is cut off is made again."""
        self._stopped.set()
        deadline_s = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0, deadline_s - time.monotonic()))

    def _run(self, courier: TargetDispatcher) -> None:
        pause_s = 0.0
        while not self._stopped.wait(pause_s):
            try:
                pause_s = 0 if courier.bring_one() is not None else IDLE_S
            except InboxUnavailableError as error:
                log.warning("notices.paused", extra={"cause": str(error)})
                pause_s = AWAY_S
            except Exception:
                log.exception("notices.failed")  # a thread that ended would send no more
                pause_s = AWAY_S
