import time
from dataclasses import replace

import pytest

from tests.fault_proxy import Fault
from tests.result_server import Framing
from tests.workers.downloading import CONTENT, QUICK, Route
from workers.download.download import DownloadPatience
from workers.download.stall_timeout import MAX_CHECK_INTERVAL_S

STALL_S = 0.25
SHORT = replace(QUICK, stall_s=STALL_S)
IN_STATUS_LINE, IN_HEADERS, IN_BODY = 0, 30, 100_000


def seconds_to_read(route: Route) -> float:
    began = time.monotonic()
    assert route.read(SHORT) == CONTENT
    return time.monotonic() - began


@pytest.mark.parametrize("after_bytes", [IN_STATUS_LINE, IN_HEADERS, IN_BODY])
def test_silence_is_cut_and_resumed(route: Route, after_bytes: int) -> None:
    route.proxy.reset(Fault("stall", after_bytes))
    assert STALL_S <= seconds_to_read(route) < STALL_S + 2


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("after_bytes", [IN_STATUS_LINE, IN_HEADERS, IN_BODY])
def test_drip_is_cut_and_resumed(route: Route, framing: Framing, after_bytes: int) -> None:
    route.server.framing = framing
    route.proxy.reset(Fault("drip", after_bytes))
    assert STALL_S <= seconds_to_read(route) < STALL_S + 2


@pytest.mark.parametrize("after_bytes", [IN_HEADERS, 5_000])
def test_lasting_drip_is_given_up(route: Route, after_bytes: int) -> None:
    route.proxy.reset(*[Fault("drip", after_bytes)] * 50)
    error = route.failure(replace(SHORT, progress_bytes=64 * 1024))
    assert error.retryable
    assert "fewer than 65536 bytes in 0.25 s" in str(error)
    assert route.proxy.connections == SHORT.tries


def test_cut_end_without_length_is_no_end(route: Route) -> None:
    """Our own cut looks like a clean end where the body says no length."""
    route.server.framing, route.server.ranges = "close", False
    route.proxy.reset(Fault("stall", 100_000), Fault("stall", 100_000))
    assert route.read(SHORT) == CONTENT


def test_default_cuts_within_a_minute() -> None:
    assert DownloadPatience().stall_s + MAX_CHECK_INTERVAL_S < 60


def test_slow_consumer_is_no_stall(route: Route) -> None:
    received = 0
    began = time.monotonic()
    for chunk in route.download(replace(SHORT, progress_bytes=1024 * 1024)).chunks():
        received += len(chunk)
        time.sleep(0.1)  # the consumer's work; the server waits meanwhile
    assert received == len(CONTENT)
    assert route.proxy.connections == 1
    assert time.monotonic() - began > STALL_S
