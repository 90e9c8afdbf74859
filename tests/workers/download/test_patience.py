"""How long a download tries, waits and lasts."""

import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from receiver.gemini.batches import Gemini
from tests.fault_proxy import Fault
from tests.result_server import result_server
from tests.workers.downloading import CONTENT, KEY, NAME, QUICK, Route, says
from workers.download.download import Download, DownloadPatience


def test_many_breaks_with_progress_pass(route: Route) -> None:
    route.proxy.reset(*[Fault("reset", 20_000)] * 12)
    assert route.read() == CONTENT
    assert route.proxy.connections == 13


def test_breaks_without_progress_give_up(route: Route) -> None:
    route.proxy.reset(*[Fault("reset", 1_000)] * 50)
    error = route.failure()
    assert error.retryable
    assert "broke at byte" in str(error)
    assert route.proxy.connections == QUICK.tries


def test_whole_download_has_a_deadline(route: Route) -> None:
    route.proxy.reset(*[Fault("drip", 20_000 * n) for n in range(1, 50)])
    began = time.monotonic()
    assert route.failure(replace(QUICK, total_s=0.5, stall_s=0.2)).retryable
    assert time.monotonic() - began < 2


def test_deadline_cuts_a_wait(route: Route) -> None:
    route.proxy.reset(Fault("stall", 100_000))
    began = time.monotonic()
    error = route.failure(replace(QUICK, total_s=0.3))
    assert error.retryable
    assert "time for the whole" in str(error)
    assert time.monotonic() - began < QUICK.stall_s / 2


def test_deadline_ends_a_quick_download_too(route: Route) -> None:
    error = route.failure(replace(QUICK, total_s=0))
    assert error.retryable
    assert "time for the whole" in str(error)


def test_retry_after_is_waited_for(route: Route) -> None:
    route.server.faults.append(says(429, retry_after="1"))
    began = time.monotonic()
    assert route.read() == CONTENT
    assert time.monotonic() - began >= 1


def test_long_retry_after_is_the_callers(route: Route) -> None:
    route.server.faults.append(says(503, retry_after="120"))
    error = route.failure(replace(QUICK, total_s=3600))
    assert (error.status, error.retryable, error.retry_after_s) == (503, True, 120)
    assert len(route.server.seen) == 1


def test_lasting_status_is_given_up(route: Route) -> None:
    route.server.faults.extend([says(503)] * 20)
    error = route.failure()
    assert (error.status, error.retryable) == (503, True)
    assert len(route.server.seen) == QUICK.tries


def test_refused_key_is_not_hammered(route: Route) -> None:
    route.server.faults.append(says(401))
    error = route.failure()
    assert (error.status, error.retryable) == (401, True)
    assert len(route.server.seen) == 1


def test_absent_server_is_a_passing_fault() -> None:
    with result_server(CONTENT) as server:
        url = server.url
    with (
        Gemini(url, KEY) as gemini,
        pytest.raises(Exception, match="no answer from Gemini") as caught,
    ):
        list(Download(gemini, NAME, patience=QUICK).chunks())
    assert getattr(caught.value, "retryable", None) is True


class StopError(Exception):
    pass


def test_check_ends_a_pause(route: Route) -> None:
    route.server.faults.append(says(429, retry_after="30"))
    called_at: list[float] = []

    def check() -> None:
        called_at.append(time.monotonic())
        if len(called_at) == 5:
            raise StopError

    with pytest.raises(StopError):
        list(Download(route.gemini, NAME, check).chunks())
    assert max(later - earlier for earlier, later in pairwise(called_at)) < 1


def test_check_comes_before_the_request(route: Route) -> None:
    def check() -> None:
        raise StopError

    with pytest.raises(StopError):
        list(Download(route.gemini, NAME, check).chunks())
    assert not route.server.seen


def test_abandoned_download_leaves_no_thread(route: Route) -> None:
    chunks = Download(route.gemini, NAME, patience=DownloadPatience()).chunks()
    next(chunks)
    assert "stall-watch" in {thread.name for thread in threading.enumerate()}
    del chunks
    assert "stall-watch" not in {thread.name for thread in threading.enumerate()}
