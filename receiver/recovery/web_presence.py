"""A web process says that it runs, and how its projects' webhooks are; `status` and others read it.

It is one field of the hash `gbr:web` in Redis, written every few seconds and removed when nobody
writes it any more.
"""

import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from receiver.gemini.webhook_reports import Evidence, ServedProject, WebProcess, read_web_process
from receiver.inbox.foreign import read_or
from receiver.inbox.redis import WEB_PROCESSES, now_ms, read_time_ms, translate_redis_errors
from receiver.settings.settings import Settings

WRITE_EVERY_S = 5.0
GONE_AFTER_S = 30.0
WEB_TTL_S = 300
# Before the next check while Gemini does not answer, or a person is to mend something.
UNSETTLED_PAUSE_S = 60.0
log = logging.getLogger(__name__)


@translate_redis_errors()
def read_web_processes(client: "redis.Redis") -> list[WebProcess]:
    """Those seen lately, by Redis' clock. Raises InboxUnavailableError."""
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.hgetall(WEB_PROCESSES)
    redis_time, rows = pipeline.execute(raise_on_error=False)
    return _alive(rows, read_time_ms(redis_time)) if isinstance(rows, dict) else []


def _alive(rows: Mapping[Any, Any], now_ms: int) -> list[WebProcess]:
    found = [one for data in rows.values() if (one := read_web_process(data)) is not None]
    alive = [one for one in found if abs(now_ms - one.seen_ms) <= GONE_AFTER_S * 1000]
    return sorted(alive, key=lambda one: (one.host, one.pid))


class Presence:
    """Writes this process's field, and checks the webhooks every `reconcile_interval_s`.

    An interval of 0 means never. While a project lacks something it checks every
    `unsettled_pause_s`: who has just done it should not be told to.
    """

    def __init__(
        self,
        client: "redis.Redis",
        settings: Settings,
        evidence: Mapping[str, Evidence],
        unsettled_pause_s: float = UNSETTLED_PAUSE_S,
    ) -> None:
        """`evidence` is what the deliveries of each project show."""
        self._client, self._settings, self._evidence = client, settings, evidence
        self._unsettled_pause_s = unsettled_pause_s
        self._logged_s = dict.fromkeys(settings.projects, float("-inf"))
        self._field = secrets.token_hex(8)
        self._projects = {
            name: ServedProject(
                project=name, secrets=len(project.secrets), why_unknown=self._why_unchecked
            )
            for name, project in settings.projects.items()
        }
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._is_failing = False

    def start(self) -> None:
        threads = [self._write_all] + (
            [self._check_all_webhooks] if self._settings.reconcile_interval_s else []
        )
        for run in threads:
            threading.Thread(target=run, name=run.__name__.strip("_"), daemon=True).start()

    def stop(self) -> None:
        """Say that this process ends, unless Redis was away a moment ago."""
        self._stopped.set()
        self._changed.set()
        if not self._is_failing:
            try:
                self._client.hdel(WEB_PROCESSES, self._field)
            except redis.RedisError as error:
                log.info("web.goodbye_unheard", extra={"cause": str(error)})

    @property
    def _why_unchecked(self) -> str:
        return (
            "it was not checked yet"
            if self._settings.reconcile_interval_s
            else "RECONCILE_INTERVAL_S is 0"
        )

    def _write_all(self) -> None:
        while not self._stopped.is_set():
            try:
                self._write()
                self._is_failing = False
            except redis.RedisError as error:
                level = logging.DEBUG if self._is_failing else logging.WARNING
                log.log(level, "web.unheard", extra={"cause": str(error)})
                self._is_failing = True
            except Exception:
                if not self._stopped.is_set():  # what it worked with may have been closed
                    log.exception("web.crashed")
            self._changed.wait(WRITE_EVERY_S)
            self._changed.clear()

    def _write(self) -> None:
        seen_ms = now_ms(self._client)
        process = WebProcess(
            host=socket.gethostname(),
            pid=os.getpid(),
            url=self._settings.public_url,
            seen_ms=seen_ms,
            projects=list(self._projects.values()),
        )
        rows: Any = read_or(None, lambda: self._client.hgetall(WEB_PROCESSES))
        if rows is None:  # another program wrote there
            self._client.delete(WEB_PROCESSES)
            rows = {}
        gone = [field for field, data in rows.items() if not _alive({field: data}, seen_ms)]
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hset(WEB_PROCESSES, self._field, msgspec.json.encode(process))
        if gone:
            pipeline.hdel(WEB_PROCESSES, *gone)
        pipeline.expire(WEB_PROCESSES, WEB_TTL_S)
        pipeline.execute()

    def _check_all_webhooks(self) -> None:
        due = dict.fromkeys(self._projects, 0.0)
        while not self._stopped.is_set():
            for name in [name for name, moment_s in due.items() if time.monotonic() >= moment_s]:
                pause_s = self._check_webhooks(name)
                due[name] = time.monotonic() + pause_s * random.uniform(0.9, 1)  # noqa: S311 - spreads load, guards nothing
            self._stopped.wait(max(0.1, min(due.values()) - time.monotonic()))

    def _check_webhooks(self, name: str) -> float:
        """Check one project's webhooks. Gives the seconds until the next check."""
        # Who only reads this module's records does not wait 50 ms for httpx.
        from receiver.gemini.webhook_setup import check_webhooks  # noqa: PLC0415

        project, interval_s = self._settings.projects[name], self._settings.reconcile_interval_s
        is_logged = time.monotonic() < self._logged_s[name] + interval_s
        known = self._projects[name].faults if is_logged else None
        try:
            seen = check_webhooks(self._settings, project, self._evidence[name], known or ())
        except Exception:
            log.exception("webhook.crashed", extra={"project": project.label})
            return interval_s
        self._projects[name] = seen
        self._changed.set()
        if not is_logged:
            self._logged_s[name] = time.monotonic()
        return interval_s if seen.is_settled else min(interval_s, self._unsettled_pause_s)
