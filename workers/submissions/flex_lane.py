"""Sends requests one by one with the tier `flex`, a few at a time, for as long as one job may.

A mark is written before each call, and what became of it after. Gemini charges nothing for what it
answers with an error: such a request is sent again, once there may be room. Where the answer is
lost, nobody knows whether it was charged for, so it is never sent again.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from receiver.errors import GeminiError, ReceiverError, StepPendingError, StorageError
from receiver.http import httpx
from receiver.retry import jittered
from receiver.submissions.flex_records import FlexProgress, FlexRecords
from workers.submissions.flex_lines import (
    INTERNAL,
    Asked,
    answer_line,
    error_line,
    lost_line,
    refused_line,
)

MAX_CALLS = 8  # at a time
SLICE_S = 60.0  # after this time, a job starts no more calls, so that other jobs have their turn
POLL_S = 0.25
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # while the tier is full; a longer one ends the job
MAX_FAILURES = 3  # of one request at Gemini, before that is its result
STORE_PATIENCE_S = 300.0  # an answer that was paid for is worth waiting for the storage
STORE_RETRY_S = 1.0
LAST_WAIT_S = 1.0  # for calls under way, before the job ends early
FULL = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FlexRequest:
    number: int  # in its part, from 1
    asked: Asked


@dataclass(frozen=True)
class _Ended:
    """A call that is over. Without an error, its request has its line."""

    request: FlexRequest
    error: GeminiError | None = None
    is_trouble: bool = False  # other requests would be refused, too


class FlexLane:
    """One slice of sending. `send` makes the call, from any thread."""

    def __init__(
        self,
        records: FlexRecords,
        progress: FlexProgress,
        send: Callable[[Asked], bytes],
        check: Callable[[], None],
        slice_s: float = SLICE_S,
    ) -> None:
        """`check` raises where this process must stop."""
        self._records, self._progress = records, progress
        self._send, self._check, self._slice_s = send, check, slice_s
        self._calls = dict[Future[_Ended], None]()
        self._again = deque[FlexRequest]()
        self._pause_s, self._resume_at = FIRST_PAUSE_S, 0.0
        self._trouble: GeminiError | None = None

    def run(self, requests: Iterator[FlexRequest]) -> None:
        """Returns when every request has its line.

        Raises StepPendingError when the rest is for a later job, GeminiError when Gemini refuses
        all of them, StorageError, and what `check` raises: calls are left to themselves then.
        """
        ends_at = time.monotonic() + self._slice_s
        pool = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="flex")
        try:
            while self._go_on(pool, requests, ends_at):
                self._collect()
        except ReceiverError:
            wait(self._calls, LAST_WAIT_S)  # what is answered by then is stored
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _go_on(
        self, pool: ThreadPoolExecutor, requests: Iterator[FlexRequest], ends_at: float
    ) -> bool:
        """Start what may be started now; False once every request has its line."""
        self._check()
        pause_s = self._resume_at - time.monotonic()
        is_over = time.monotonic() >= ends_at or pause_s > LONGEST_PAUSE_S
        may_start = not is_over and self._trouble is None
        if may_start and self._start(pool, requests) and not self._calls:
            return False
        if self._calls or may_start:
            return True
        if self._trouble is not None:
            raise self._trouble
        raise StepPendingError(
            "requests are being sent with the tier flex", delay_s=max(0.0, pause_s)
        )

    def _start(self, pool: ThreadPoolExecutor, requests: Iterator[FlexRequest]) -> bool:
        """Start as many calls as there may be; True when no request is left to start."""
        while len(self._calls) < MAX_CALLS and time.monotonic() >= self._resume_at:
            request = self._again.popleft() if self._again else next(requests, None)
            if request is None:
                return True
            self._check()
            attempt = self._progress.attempts[request.number] + 1
            self._progress.attempts[request.number] = attempt
            if not self._records.begin(request.number, attempt):
                raise StepPendingError("another process sends these requests", delay_s=POLL_S)
            self._calls[pool.submit(self._call, request, attempt)] = None
        return False

    def _collect(self) -> None:
        """Wait a moment for a call to end, and take in what has."""
        if not self._calls:
            time.sleep(POLL_S)
            return
        for call in wait(self._calls, POLL_S, FIRST_COMPLETED).done:
            del self._calls[call]
            self._take(call.result())

    def _take(self, ended: _Ended) -> None:
        if ended.error is None:
            self._pause_s = FIRST_PAUSE_S
            return
        self._again.append(ended.request)
        about = {"request": ended.request.number, "cause": str(ended.error)}
        log.info("flex.refused", extra=about)
        if ended.is_trouble:
            self._trouble = ended.error
        elif time.monotonic() >= self._resume_at:  # not those that were sent before the last pause
            pause_s = max(self._pause_s, ended.error.retry_after_s or 0.0)
            self._resume_at = time.monotonic() + jittered(pause_s)
            self._pause_s *= 2

    def _call(self, request: FlexRequest, attempt: int) -> _Ended:
        try:
            line = answer_line(request.asked, self._send(request.asked))
        except GeminiError as error:
            return self._settle(request, attempt, error)
        self._store(request, line)
        return _Ended(request)

    def _settle(self, request: FlexRequest, attempt: int, error: GeminiError) -> _Ended:
        """What becomes of a request that was not answered."""
        number, asked, status = request.number, request.asked, error.status
        if not error.is_certain:
            return self._store(request, lost_line(asked, str(error)))
        if error.fault == "refused" and not error.retryable:
            return self._store(request, refused_line(asked, status, str(error)))

        is_full = error.is_unsent or status in FULL
        if not is_full and status is not None and status >= httpx.codes.INTERNAL_SERVER_ERROR:
            self._progress.failures[number] += 1
            if self._progress.failures[number] >= MAX_FAILURES:
                return self._store(request, error_line(asked, INTERNAL, str(error)))
            self._records.end(number, attempt, "failed")
            return _Ended(request, error)
        self._records.end(number, attempt, "refused")
        return _Ended(request, error, is_trouble=not is_full)

    def _store(self, request: FlexRequest, line: bytes) -> _Ended:
        """Record its line; it may have been paid for, so a storage that is away is waited for."""
        deadline = time.monotonic() + STORE_PATIENCE_S
        while True:
            try:
                self._records.answer(request.number, line)
            except StorageError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(STORE_RETRY_S)
            else:
                return _Ended(request)
