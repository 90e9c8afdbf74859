"""Sends pending notices, each target on its own.

The web process has a thread per target for it. A worker can't have such threads, since it forks: a
lock that one of them held at that moment, such as the resolver's, would stay locked in the child
process. See `workers.worker.background`.
"""

import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import redis

from receiver.errors import InboxUnavailableError, NoticeError
from receiver.http import trusted_certificates
from receiver.notices.acknowledgements import Acknowledged
from receiver.notices.http_client import post
from receiver.notices.payloads import encode_payload, sign
from receiver.notices.queue import ClaimedNotice, NoticeQueue, SendResult
from receiver.notices.rq_jobs import enqueue_job
from receiver.notices.slack import encode_text
from receiver.retry import jittered, plan_notice_retry_s
from receiver.settings.notice_targets import NoticeSettings, Target

IDLE_S = 1.0
REDIS_AWAY_S = 5.0  # between tries while Redis is away
STOP_S = 1.0  # for a running try at shutdown, for which the whole process has five seconds
log = logging.getLogger(__name__)


def send(settings: NoticeSettings, target: Target, notice: ClaimedNotice) -> Acknowledged:
    """Try once to send a notice. Raises NoticeError."""
    if notice.type is None:
        raise NoticeError(
            "it has no known form: another program wrote it into Redis", is_final=True
        )
    if target.kind == "rq":
        return enqueue_job(target, notice)
    if target.kind == "slack":
        body, headers = encode_text(notice.type, notice.batch, notice.data), dict[str, str]()
    else:
        body = encode_payload(notice.type, notice.batch, notice.enqueued_ms, notice.data)
        headers = sign(target.keys, notice.message_id, time.time(), body)
    return post(target, body, headers, trusted_certificates(), private=settings.private)


class TargetDispatcher:
    """Sends the notices of one target."""

    def __init__(self, settings: NoticeSettings, target: Target, client: "redis.Redis") -> None:
        self._settings, self._target = settings, target
        self._queue = NoticeQueue(client, target.digest)

    def send_next(self) -> SendResult | None:
        """Try one due notice; None if there is none. Raises InboxUnavailableError."""
        notice = self._queue.claim(events=self._target.events)
        if notice is None:
            return None
        extra: dict[str, object] = {
            "notice": notice.name,
            "batch": notice.batch,
            "host": self._target.host,
        }
        try:
            answer = send(self._settings, self._target, notice)
        except NoticeError as error:
            return self._handle_failure(notice, error, extra)
        except Exception as error:
            log.exception("notice.crashed", extra=extra)
            return self._handle_failure(
                notice, NoticeError(f"unexpected {type(error).__name__}"), extra
            )
        self._queue.mark_delivered(notice)
        log.info("notice.delivered", extra=extra | {"type": notice.type, "status": answer.status})
        return "delivered"

    def send_all_due(self) -> Counter[SendResult]:
        """Try all due notices. Raises InboxUnavailableError."""
        return Counter(iter(self.send_next, None))

    def _handle_failure(
        self, notice: ClaimedNotice, error: NoticeError, extra: dict[str, object]
    ) -> SendResult:
        tries, cause = notice.tries + 1, str(error)
        extra |= {"cause": cause, "tries": tries}
        delay_s = (
            plan_notice_retry_s(tries, self._settings.retry_base_s, error.retry_after_s)
            if error.retryable
            else None
        )
        if delay_s is None:
            self._queue.mark_dead(notice, cause)
            log.error("notice.dead", extra=extra)
            return "dead"
        self._queue.postpone(notice, jittered(delay_s), cause)
        log.warning("notice.postponed", extra=extra | {"delay_s": round(delay_s, 1)})
        return "failed"


def send_due(settings: NoticeSettings, client: "redis.Redis") -> Counter[SendResult]:
    """Try all due notices, the targets in parallel. Raises InboxUnavailableError."""
    dispatchers = [TargetDispatcher(settings, target, client) for target in settings.targets]
    if not dispatchers:
        return Counter()
    with ThreadPoolExecutor(len(dispatchers)) as pool:
        return sum(pool.map(TargetDispatcher.send_all_due, dispatchers), Counter())


class Dispatcher:
    """A thread with a dispatcher for each target, from `start` to `stop`."""

    def __init__(self, settings: NoticeSettings, client: "redis.Redis") -> None:
        self._dispatchers = [
            TargetDispatcher(settings, target, client) for target in settings.targets
        ]
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(dispatcher,), name="notices", daemon=True)
            for dispatcher in self._dispatchers
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait a moment for running tries to end. One that is cut off is made again later."""
        self._stopped.set()
        deadline_s = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0, deadline_s - time.monotonic()))

    def _run(self, dispatcher: TargetDispatcher) -> None:
        pause_s = 0.0
        while not self._stopped.wait(pause_s):
            try:
                pause_s = 0 if dispatcher.send_next() is not None else IDLE_S
            except InboxUnavailableError as error:
                log.warning("notices.paused", extra={"cause": str(error)})
                pause_s = REDIS_AWAY_S
            except Exception:
                # The thread goes on, or nothing would be sent any more.
                log.exception("notices.failed")
                pause_s = REDIS_AWAY_S
