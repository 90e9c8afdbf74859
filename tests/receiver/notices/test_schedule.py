"""The schedule that Standard Webhooks gives senders, as a table."""

import pytest

from receiver.notices.queue import LEASE_S
from receiver.notices.schedule import DELAYS_S, plan_next_s
from receiver.settings.notice_targets import MAX_BASE_S

MINUTE, HOUR = 60, 3600
TABLE = [
    (0, 0),
    (1, 5),
    (2, 5 * MINUTE),
    (3, 30 * MINUTE),
    (4, 2 * HOUR),
    (5, 5 * HOUR),
    (6, 10 * HOUR),
    (7, 14 * HOUR),
    (8, 20 * HOUR),
    (9, 24 * HOUR),
]


@pytest.mark.parametrize(("tries", "delay_s"), TABLE)
def test_delays_are_the_specifications(tries: int, delay_s: float) -> None:
    assert plan_next_s(tries) == delay_s


@pytest.mark.parametrize("tries", [10, 11, 1000])
def test_ten_tries_are_enough(tries: int) -> None:
    assert len(DELAYS_S) == 10
    assert plan_next_s(tries) is None
    assert plan_next_s(tries, asked_s=60) is None


def test_shorter_base_keeps_the_proportion() -> None:
    assert [plan_next_s(tries, 0.005) for tries, _ in TABLE] == [
        pytest.approx(delay_s / 1000) for _, delay_s in TABLE
    ]


@pytest.mark.parametrize(("asked_s", "delay_s"), [(1, 5), (600, 600), (0, 5)])
def test_receiver_can_ask_for_more_time(asked_s: float, delay_s: float) -> None:
    assert plan_next_s(1, asked_s=asked_s) == delay_s


def test_slowest_schedule_ends_before_notices_expire() -> None:
    days = sum(plan_next_s(tries, MAX_BASE_S) or 0 for tries in range(10)) * 1.2 / 86400
    assert days + LEASE_S < 30 * 86400
    assert days < 30
