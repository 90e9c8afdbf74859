"""Charts of the last day, week or month: from counts to the numbers of an SVG. Pure."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from receiver.status.formatting import count
from receiver.telemetry.metrics.definitions import DAY_S, SLOT_S, TREND_S, Slot

WIDTH, HEIGHT = 360, 132  # of the SVG, in its units
LEFT, RIGHT, TOP, BOTTOM = 40, 4, 8, 20  # around the bars
FLOOR, ROOM = HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM  # below the bars, and for the highest one
GAP = 1.2
STEPS = (2, 4, 6, 8, 10, 12, 16)  # even, so that the middle of an axis is a whole number
THOUSAND = 1000
MONDAY_S = 4 * DAY_S  # the first one of Unix time
# What slots are called, by their length.
STEP_NAMES = {
    SLOT_S: ("half hour", "half hours"),
    TREND_S: ("three hours", "steps of three hours"),
    DAY_S: ("day", "days"),
}


Tone = Literal["good", "bad", "plain"]  # its colour and pattern


@dataclass(frozen=True)
class Series:
    """What is counted."""

    name: str  # "answers"
    tone: Tone
    fields: tuple[str, ...] = ()  # of the history
    measure: Callable[[Slot], float] | None = None  # of a slot, in place of the fields

    def value(self, slot: Slot) -> float:
        return max(0.0, self.measure(slot) if self.measure else slot.total(*self.fields))


def shorten(value: float) -> str:
    """
    >>> [shorten(value) for value in (0, 500, 2_000, 2_500_000)]
    ['0', '500', '2k', '2.5M']
    """
    for unit, size in (("G", THOUSAND**3), ("M", THOUSAND**2), ("k", THOUSAND)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


@dataclass(frozen=True)
class Scale:
    """How one chart shows its values."""

    words: Callable[[float], str] = count
    axis: Callable[[float], str] = shorten
    is_whole: bool = True  # an axis of whole numbers ends no lower than at 2


@dataclass(frozen=True)
class Bar:
    """One rectangle."""

    x: float
    y: float
    width: float
    height: float
    tone: Tone


@dataclass(frozen=True)
class Tick:
    """A label on an axis, and its place there."""

    at: float
    label: str


@dataclass(frozen=True)
class Total:
    """The sum of one series over the whole time."""

    name: str
    tone: Tone
    count: float
    words: str  # the count for people


@dataclass(frozen=True)
class ChartRow:
    """One slot in numbers, for those who do not see the drawing."""

    began_s: int
    counts: tuple[float, ...]  # in the order of the totals
    words: tuple[str, ...]  # likewise


@dataclass(frozen=True)
class Chart:
    """Everything that a template needs."""

    title: str
    bars: list[Bar]
    heights: list[Tick]
    hours: list[Tick]
    totals: list[Total]
    rows: list[ChartRow]  # slots in which anything was counted
    summary: str  # the drawing in words
    step: str  # "half hour", "three hours" or "day"; and several
    steps: str
    span: str  # "day", "week" or "month"
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = FLOOR


def draw(
    title: str,
    slots: Sequence[Slot],
    series: Sequence[Series],
    span: str = "day",
    scale: Scale = Scale(),
) -> Chart:
    """A stacked bar per slot, the series on top of each other in their order."""
    counts = [tuple(one.value(slot) for one in series) for slot in slots]
    highest = max((sum(row) for row in counts), default=0)
    top = round_up(highest) if scale.is_whole else round_up_fraction(highest)
    sums = [sum(row[number] for row in counts) for number in range(len(series))]
    totals = [
        Total(one.name, one.tone, total, scale.words(total))
        for one, total in zip(series, sums, strict=True)
    ]
    rows = [
        ChartRow(slot.began_s, row, tuple(map(scale.words, row)))
        for slot, row in zip(slots, counts, strict=True)
    ]
    slot_width = (WIDTH - LEFT - RIGHT) / max(1, len(slots))
    length_s = slots[0].length_s if slots else SLOT_S

    return Chart(
        title=title,
        bars=[
            bar
            for number, row in enumerate(counts)
            for bar in _stack(LEFT + number * slot_width, slot_width, row, top, series)
        ],
        heights=[Tick(FLOOR - part * ROOM, scale.axis(top * part)) for part in (0.0, 0.5, 1.0)],
        hours=_label_times(slots, slot_width, length_s),
        totals=totals,
        rows=[row for row in rows if any(row.counts)],
        summary=_summarize(rows, totals, span, length_s, scale),
        step=STEP_NAMES[length_s][0],
        steps=STEP_NAMES[length_s][1],
        span=span,
    )


def _stack(
    x: float, width: float, counts: Sequence[float], top: float, series: Sequence[Series]
) -> Iterator[Bar]:
    """The bars of one slot from the bottom up; each is high enough to be seen."""
    y = float(FLOOR)
    for one, value in zip(series, counts, strict=True):
        if value:
            height = max(1.0, value / top * ROOM)
            y -= height
            yield Bar(
                x=round(x + GAP / 2, 2),
                y=round(y, 2),
                width=round(width - GAP, 2),
                height=round(height, 2),
                tone=one.tone,
            )


def round_up(value: float) -> int:
    """The next number that an axis can end with.

    >>> [round_up(value) for value in (0, 1, 3, 17, 240, 1_001)]
    [2, 2, 4, 20, 400, 1200]
    """
    power = 1
    while value > STEPS[-1] * power:
        power *= 10
    return next(step * power for step in STEPS if value <= step * power)


def round_up_fraction(value: float) -> float:
    """The same for values that need not be whole.

    >>> [round_up_fraction(value) for value in (0, 0.00031, 0.7, 17)]
    [1.0, 0.0004, 0.8, 20.0]
    """
    if value <= 0:
        return 1.0
    power = math.floor(math.log10(value))
    tops = (float(f"{step}e{exponent}") for exponent in (power - 1, power) for step in STEPS)
    return next(top for top in tops if value <= top)


def _label_times(slots: Sequence[Slot], slot_width: float, length_s: int) -> list[Tick]:
    return [
        Tick(round(LEFT + number * slot_width, 2), _label_time(slot.began_s, length_s))
        for number, slot in enumerate(slots)
        if _is_labelled(slot.began_s, length_s)
    ]


def _is_labelled(began_s: int, length_s: int) -> bool:
    """Every six hours of a day, every day of a week, and every Monday of a month."""
    if length_s == SLOT_S:
        return began_s % (6 * 3600) == 0
    if length_s == DAY_S:
        return began_s % (7 * DAY_S) == MONDAY_S
    return began_s % DAY_S == 0


def _label_time(began_s: int, length_s: int) -> str:
    return clock(began_s) if length_s == SLOT_S else f"{_utc(began_s):%b} {_utc(began_s).day}"


def clock(began_s: int) -> str:
    return _utc(began_s).strftime("%H:%M")


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _summarize(
    rows: Sequence[ChartRow], totals: Sequence[Total], span: str, length_s: int, scale: Scale
) -> str:
    """What a person would say about the drawing."""
    sums = ", ".join(f"{total.words} {total.name}" for total in totals)
    busiest = max(rows, key=lambda row: sum(row.counts), default=None)
    if busiest is None or not any(busiest.counts):
        return f"In the last {span}: {sums}."

    most = scale.words(sum(busiest.counts))
    when = describe_slot(busiest.began_s, length_s)
    return f"In the last {span}: {sums}. Most of it {when}: {most}."


def describe_slot(began_s: int, length_s: int) -> str:
    """When a slot was.

    >>> describe_slot(0, 1800), describe_slot(0, 86400)
    ('between 00:00 and 00:30 UTC', 'on 1970-01-01 UTC')
    >>> describe_slot(0, 10800)
    'on 1970-01-01 between 00:00 and 03:00 UTC'
    """
    if length_s == DAY_S:
        return f"on {_utc(began_s):%Y-%m-%d} UTC"
    between = f"between {clock(began_s)} and {clock(began_s + length_s)} UTC"
    return between if length_s == SLOT_S else f"on {_utc(began_s):%Y-%m-%d} {between}"
