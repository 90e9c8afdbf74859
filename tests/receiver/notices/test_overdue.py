"""How old a batch at Gemini is, by a createTime that may be anything."""

import doctest
from datetime import UTC, datetime

import pytest

from receiver.notices import overdue
from receiver.notices.overdue import (
    HOUR_MS,
    RunningBatch,
    find_threshold_h,
    is_overdue,
    read_age_ms,
    sort_by_age,
)

NOW_MS = int(datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp() * 1000)


def test_examples_hold() -> None:
    assert doctest.testmod(overdue).failed == 0


@pytest.mark.parametrize(
    ("created", "hours"),
    [
        ("2026-11-27T11:00:00Z", 25),
        ("2026-11-27T11:00:00.123456789Z", 24),
        ("2026-11-27T13:00:00+02:00", 25),
        ("2026-11-28T12:04:00Z", 0),  # Gemini's clock is ahead
    ],
)
def test_created_says_the_age(created: str, hours: int) -> None:
    age_ms = read_age_ms(created, NOW_MS)
    assert age_ms is not None
    assert age_ms // HOUR_MS == hours


@pytest.mark.parametrize(
    "created",
    [
        *(None, "", "yesterday", "2026-11-27", "2026-11-27T11:00:00", "1764241200"),
        *(
            "0001-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "2026-11-28T13:00:00Z",
            "9999-12-31T23:59:59Z",
        ),
        "2026-13-41T00:00:00Z",
    ],
)
def test_odd_time_is_unknown_and_never_overdue(created: str | None) -> None:
    assert read_age_ms(created, NOW_MS) is None
    assert not is_overdue(None)
    assert find_threshold_h(None) is None


@pytest.mark.parametrize(
    ("minutes", "hours"), [(0, None), (1439, None), (1440, 24), (2639, 24), (2640, 44), (9999, 44)]
)
def test_thresholds_are_passed_one_after_the_other(minutes: int, hours: int | None) -> None:
    assert find_threshold_h(minutes * 60_000) == hours
    assert is_overdue(minutes * 60_000) is (hours is not None)


def test_oldest_comes_first_and_unknown_last() -> None:
    moments = ["2026-11-28T11:00:00Z", None, "2026-11-26T11:00:00Z"]
    batches = [
        RunningBatch(batch=f"batches/{n}", state="RUNNING", created=moment)
        for n, moment in enumerate(moments)
    ]
    assert [one.batch[-1] for one in sort_by_age(batches, NOW_MS)] == ["2", "0", "1"]
