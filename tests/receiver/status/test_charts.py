import doctest

from hypothesis import given
from hypothesis import strategies as st

from receiver.status import charts
from receiver.status.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Series,
    draw,
    round_up,
    round_up_fraction,
)
from receiver.telemetry.metrics.definitions import DAY_S, SLOT_S, TREND_S, Slot

KINDS = (Series("answers", "good", ("ok",)), Series("errors", "bad", ("error", "missing")))
MIDNIGHT_S = 1_769_040_000


def slots(*counts: dict[str, float]) -> list[Slot]:
    return [Slot(MIDNIGHT_S + number * SLOT_S, one) for number, one in enumerate(counts)]


def test_examples_are_true() -> None:
    assert doctest.testmod(charts).failed == 0


def test_kinds_stand_on_top_of_each_other() -> None:
    good, bad = draw("Results", slots({"ok": 6, "error": 1, "missing": 1}), KINDS).bars
    assert (good.tone, bad.tone) == ("good", "bad")
    assert good.y + good.height == HEIGHT - BOTTOM
    assert bad.y + bad.height == good.y
    assert good.height == 3 * bad.height
    assert bad.y == TOP


def test_one_of_many_is_still_seen() -> None:
    _, bad = draw("Results", slots({"ok": 1_000_000, "error": 1}), KINDS).bars
    assert bad.height >= 1


def test_day_of_nothing_has_no_bars() -> None:
    chart = draw("Results", slots({}, {}), KINDS)
    assert (chart.bars, chart.rows) == ([], [])
    assert chart.summary == "In the last day: 0 answers, 0 errors."


def test_sentence_says_what_the_drawing_shows() -> None:
    chart = draw("Results", slots({"ok": 1}, {"ok": 2_000, "error": 4}, {}), KINDS)
    assert chart.summary == (
        "In the last day: 2,001 answers, 4 errors. Most of it between 00:30 and 01:00 UTC: 2,004."
    )
    assert [(total.name, total.count) for total in chart.totals] == [
        ("answers", 2001),
        ("errors", 4),
    ]
    assert [row.counts for row in chart.rows] == [(1, 0), (2000, 4)]


def test_hours_are_marked_where_they_are() -> None:
    chart = draw("Results", slots(*[{}] * 48), KINDS)
    assert [tick.label for tick in chart.hours] == ["00:00", "06:00", "12:00", "18:00"]
    assert chart.hours[2].at == LEFT + (WIDTH - LEFT - RIGHT) / 2


def long_slots(length_s: int, count: int) -> list[Slot]:
    """From a Thursday on."""
    return [
        Slot(MIDNIGHT_S + number * length_s, {"ok": number}, length_s=length_s)
        for number in range(count)
    ]


def test_week_and_month_are_marked_by_days() -> None:
    week = draw("Results", long_slots(TREND_S, 56), KINDS, "week")
    assert [tick.label for tick in week.hours] == [f"Jan {day}" for day in range(22, 29)]
    month = draw("Results", long_slots(DAY_S, 30), KINDS, "month")
    assert [tick.label for tick in month.hours] == ["Jan 26", "Feb 2", "Feb 9", "Feb 16"]
    assert week.summary.endswith("Most of it on 2026-01-28 between 21:00 and 00:00 UTC: 55.")
    assert month.summary.startswith("In the last month: 435 answers")
    assert (week.step, week.steps, month.step, month.steps) == (
        "three hours",
        "steps of three hours",
        "day",
        "days",
    )


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["ok", "error", "x"]), st.floats(-9, 1e12)), max_size=48
    )
)
def test_every_bar_is_in_the_drawing(counts: list[dict[str, float]]) -> None:
    for bar in draw("Results", slots(*counts), KINDS).bars:
        assert LEFT <= bar.x <= bar.x + bar.width <= WIDTH - RIGHT + 0.1
        assert TOP - 2 <= bar.y <= bar.y + bar.height <= HEIGHT - BOTTOM + 0.1


@given(st.floats(0, 1e15))
def test_axis_ends_above_and_not_far(value: float) -> None:
    assert value <= round_up(value) <= max(2, 2 * value)
    assert round_up(value) % 2 == 0


@given(st.floats(1e-12, 1e12))
def test_axis_of_parts_ends_above_and_not_far(value: float) -> None:
    assert value <= round_up_fraction(value) <= 2.01 * value
