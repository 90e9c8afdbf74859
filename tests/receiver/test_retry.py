import pytest

from receiver.errors import Fault
from receiver.notices.queue import LEASE_S
from receiver.retry import (
    NOTICE_DELAYS_S,
    Next,
    Past,
    Patience,
    jittered,
    plan_next,
    plan_notice_retry_s,
    plan_retry_s,
    plan_wait_s,
)
from receiver.settings.notice_targets import MAX_BASE_S

HOUR = 3600.0
WEEK = 168 * HOUR
USUAL = Patience()


@pytest.mark.parametrize(
    ("waits", "delay_s"), [(0, 1), (1, 2), (5, 32), (9, 512), (10, 600), (300, 600), (10_000, 600)]
)
def test_waits_double_up_to_ten_minutes(waits: int, delay_s: float) -> None:
    assert plan_wait_s(waits) == delay_s


@pytest.mark.parametrize(
    ("attempts", "base_s", "asked_s", "delay_s"),
    [
        (0, 5, None, 5),
        (1, 5, None, 20),
        (2, 5, None, 80),
        (3, 5, None, 320),
        (9, 5, None, 3600),
        (10_000, 5, None, 3600),
        (0, 0.2, None, 0.2),
        (0, 5, 60.0, 60),
        (3, 5, 60.0, 320),
        (0, 5, 0.0, 5),
    ],
)
def test_retries_grow_fourfold(
    attempts: int, base_s: float, asked_s: float | None, delay_s: float
) -> None:
    assert plan_retry_s(attempts, base_s, asked_s) == delay_s


def test_jitter_adds_up_to_a_fifth() -> None:
    delays = {jittered(10) for _ in range(100)}
    assert len(delays) > 1
    assert all(10 <= delay <= 12 for delay in delays)


@pytest.mark.parametrize(
    ("fault", "past", "next_one"),
    [
        ("batch", Past(), Next("postpone", "attempts", 5)),
        (
            "batch",
            Past(attempts=3, outages=9, outage_s=99 * HOUR),
            Next("postpone", "attempts", 320),
        ),
        ("outside", Past(), Next("postpone", "outages", 5)),
        ("outside", Past(attempts=4), Next("postpone", "outages", 5)),
        ("outside", Past(outages=1, outage_s=6), Next("postpone", "outages", 10)),
        ("outside", Past(outages=6, outage_s=400), Next("postpone", "outages", 320)),
        ("outside", Past(outages=8, outage_s=2 * HOUR), Next("postpone", "outages", 900)),
        ("outside", Past(outages=999, outage_s=WEEK - 1), Next("postpone", "outages", 900)),
        ("outside", Past(outages=999, outage_s=WEEK), Next("bury")),
        ("refused", Past(), Next("postpone", "refusals", 5)),
        ("refused", Past(outages=999, outage_s=WEEK), Next("postpone", "refusals", 5)),
        ("refused", Past(refusals=20, refused_s=WEEK / 7 - 1), Next("postpone", "refusals", 900)),
        ("refused", Past(refusals=20, refused_s=WEEK / 7), Next("bury")),
        ("expired", Past(), Next("postpone", "refusals", 5)),
        ("expired", Past(refusals=1, refused_s=5), Next("postpone", "refusals", 10)),
        ("expired", Past(refusals=2, refused_s=15), Next("expire")),
    ],
)
def test_fault_decides_what_comes_next(fault: Fault, past: Past, next_one: Next) -> None:
    assert plan_next(fault, past, USUAL) == next_one


def test_what_no_retry_can_help_is_buried_at_once() -> None:
    assert plan_next("batch", Past(), USUAL, retryable=False) == Next("bury")


@pytest.mark.parametrize(("asked_s", "delay_s"), [(None, 10), (3.0, 10), (120.0, 120)])
@pytest.mark.parametrize(
    ("fault", "past"), [("outside", Past(outages=1)), ("refused", Past(refusals=1))]
)
def test_wait_is_never_shorter_than_asked(
    fault: Fault, past: Past, asked_s: float | None, delay_s: float
) -> None:
    assert plan_next(fault, past, USUAL, retry_after_s=asked_s).delay_s == delay_s


@pytest.mark.parametrize(
    ("base_s", "longest_s"), [(0, 9), (0.2, 36), (5, 900), (60, 900), (1200, 1200)]
)
def test_longest_wait_keeps_its_proportion_to_the_first(base_s: float, longest_s: float) -> None:
    assert plan_next("outside", Past(outages=50), Patience(base_s)).delay_s == longest_s


def test_an_outage_of_a_week_costs_few_questions() -> None:
    past, asked = Past(), 0
    while (plan := plan_next("outside", past, USUAL)).action == "postpone":
        asked += 1
        past = Past(outages=asked, outage_s=past.outage_s + plan.delay_s)
    assert 600 < asked < 700


MINUTE = 60
NOTICE_TABLE = [
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


@pytest.mark.parametrize(("tries", "delay_s"), NOTICE_TABLE)
def test_delays_are_the_specifications(tries: int, delay_s: float) -> None:
    assert plan_notice_retry_s(tries) == delay_s


@pytest.mark.parametrize("tries", [10, 11, 1000])
def test_ten_tries_are_enough(tries: int) -> None:
    assert len(NOTICE_DELAYS_S) == 10
    assert plan_notice_retry_s(tries) is None
    assert plan_notice_retry_s(tries, retry_after_s=60) is None


def test_shorter_base_keeps_the_proportion() -> None:
    assert [plan_notice_retry_s(tries, 0.005) for tries, _ in NOTICE_TABLE] == [
        pytest.approx(delay_s / 1000) for _, delay_s in NOTICE_TABLE
    ]


@pytest.mark.parametrize(("asked_s", "delay_s"), [(1, 5), (600, 600), (0, 5)])
def test_receiver_can_ask_for_more_time(asked_s: float, delay_s: float) -> None:
    assert plan_notice_retry_s(1, retry_after_s=asked_s) == delay_s


def test_slowest_schedule_ends_before_notices_expire() -> None:
    days = sum(plan_notice_retry_s(tries, MAX_BASE_S) or 0 for tries in range(10)) * 1.2 / 86400
    assert days + LEASE_S < 30 * 86400
    assert days < 30
