"""Charts of the last day: from counts to the numbers of an SVG. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from receiver.status.formatting import count
from receiver.telemetry.metrics.definitions import SLOT_S, Slot

WIDTH, HEIGHT = 360, 132  # of the SVG, in its units
LEFT, RIGHT, TOP, BOTTOM = 40, 4, 8, 20  # around the bars
FLOOR, ROOM = HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM  # below the bars, and for the highest one
GAP = 1.2
LABEL_EVERY_S = 6 * 3600
STEPS = (2, 4, 6, 8, 10, 12, 16)  # even, so that the middle of an axis is a whole number
THOUSAND = 1000


Tone = Literal["good", "bad"]  # its colour and pattern


@dataclass(frozen=True)
class Series:
    """What is counted."""

    name: str  # "answers"
    tone: Tone
    fields: tuple[str, ...]  # of the history


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
    """The sum of one series over the whole day."""

    name: str
    tone: Tone
    count: float


@dataclass(frozen=True)
class ChartRow:
    """Half an hour in numbers, for those who do not see the drawing."""

    began_s: int
    counts: tuple[float, ...]  # in the order of the totals


@dataclass(frozen=True)
class Chart:
    """Everything that a template needs."""

    title: str
    bars: list[Bar]
    heights: list[Tick]
    hours: list[Tick]
    totals: list[Total]
    rows: list[ChartRow]  # half hours in which anything was counted
    summary: str  # the drawing in words
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = FLOOR


def draw(title: str, slots: Sequence[Slot], series: Sequence[Series]) -> Chart:
    """A stacked bar per half hour, the series on top of each other in their order."""
    counts = [tuple(max(0.0, slot.total(*one.fields)) for one in series) for slot in slots]
    top = round_up(max((sum(row) for row in counts), default=0))
    totals = [
        Total(one.name, one.tone, sum(row[number] for row in counts))
        for number, one in enumerate(series)
    ]
    rows = [ChartRow(slot.began_s, row) for slot, row in zip(slots, counts, strict=True)]
    slot_width = (WIDTH - LEFT - RIGHT) / max(1, len(slots))

    return Chart(
        title=title,
        bars=[
            bar
            for number, row in enumerate(counts)
            for bar in _stack(LEFT + number * slot_width, slot_width, row, top, series)
        ],
        heights=[Tick(FLOOR - part * ROOM, _short(top * part)) for part in (0.0, 0.5, 1.0)],
        hours=_hours(slots, slot_width),
        totals=totals,
        rows=[row for row in rows if any(row.counts)],
        summary=_summarize(rows, totals),
    )


def _stack(
    x: float, width: float, counts: Sequence[float], top: int, series: Sequence[Series]
) -> Iterator[Bar]:
    """The bars of one half hour from the bottom up; each is high enough to be seen."""
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


def _short(value: float) -> str:
    """
    >>> [_short(value) for value in (0, 500, 2_000, 2_500_000)]
    ['0', '500', '2k', '2.5M']
    """
    for unit, size in (("G", THOUSAND**3), ("M", THOUSAND**2), ("k", THOUSAND)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def _hours(slots: Sequence[Slot], slot_width: float) -> list[Tick]:
    return [
        Tick(round(LEFT + number * slot_width, 2), clock(slot.began_s))
        for number, slot in enumerate(slots)
        if slot.began_s % LABEL_EVERY_S == 0
    ]


def clock(began_s: int) -> str:
    return datetime.fromtimestamp(began_s, UTC).strftime("%H:%M")


def _summarize(rows: Sequence[ChartRow], totals: Sequence[Total]) -> str:
    """What a person would say about the drawing."""
    sums = ", ".join(f"{count(total.count)} {total.name}" for total in totals)
    busiest = max(rows, key=lambda row: sum(row.counts), default=None)
    if busiest is None or not any(busiest.counts):
        return f"In the last day: {sums}."

    when = f"between {clock(busiest.began_s)} and {clock(busiest.began_s + SLOT_S)} UTC"
    return f"In the last day: {sums}. Most of it {when}: {count(sum(busiest.counts))}."
