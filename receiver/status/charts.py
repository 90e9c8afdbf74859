"""Charts of the last day: from counts to the numbers of an SVG drawing. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from receiver.status.formatting import count
from receiver.telemetry.metrics.definitions import SLOT_S, Slot

WIDTH, HEIGHT = 360, 132  # of the drawing
LEFT, RIGHT, TOP, BOTTOM = 40, 4, 8, 20  # around the bars
GAP = 1.2
LABEL_EVERY_S = 6 * 3600
STEPS = (2, 4, 6, 8, 10, 12, 16)  # their halves are whole
NARROW, THOUSAND = 5, 1000


@dataclass(frozen=True)
class Series:
    """One kind of thing that is counted."""

    name: str  # "answers"
    look: str  # "good" or "bad": its colour and its pattern
    fields: tuple[str, ...]  # of the history


@dataclass(frozen=True)
class Bar:
    """One box; all numbers in units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    look: str


@dataclass(frozen=True)
class Tick:
    """A label on an axis and where it stands."""

    at: float
    label: str


@dataclass(frozen=True)
class Total:
    """One kind over the whole day."""

    name: str
    look: str
    count: float


@dataclass(frozen=True)
class ChartRow:
    """Half an hour in words, for who does not see the drawing."""

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
    summary: str  # the drawing in a sentence
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = HEIGHT - BOTTOM


def draw(title: str, slots: Sequence[Slot], series: Sequence[Series]) -> Chart:
    """Bars, one a half hour, with the kinds on top of each other in their order."""
    counts = [tuple(max(0.0, slot.total(*one.fields)) for one in series) for slot in slots]
    ceiling = round_up(max((sum(row) for row in counts), default=0))
    room, slot_width = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - RIGHT) / max(1, len(slots))
    bars = []
    for number, row in enumerate(counts):
        below = float(HEIGHT - BOTTOM)
        for one, value in zip(series, row, strict=True):
            height = (
                max(1.0, value / ceiling * room) if value else 0.0
            )  # one of a million is seen too
            below -= height
            if value:
                x = LEFT + number * slot_width + GAP / 2
                bars.append(
                    Bar(
                        round(x, 2),
                        round(below, 2),
                        round(slot_width - GAP, 2),
                        round(height, 2),
                        one.look,
                    )
                )
    totals = [
        Total(one.name, one.look, sum(row[n] for row in counts)) for n, one in enumerate(series)
    ]
    return Chart(
        title=title,
        bars=bars,
        heights=[
            Tick(HEIGHT - BOTTOM - part * room, _short(ceiling * part)) for part in (0.0, 0.5, 1.0)
        ],
        hours=_hours(slots, slot_width),
        totals=totals,
        rows=[
            ChartRow(slot.began_s, row) for slot, row in zip(slots, counts, strict=True) if any(row)
        ],
        summary=_summary(slots, counts, totals),
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
    found = [
        (number, slot) for number, slot in enumerate(slots) if slot.began_s % LABEL_EVERY_S == 0
    ]
    return [
        Tick(round(LEFT + number * slot_width, 2), clock(slot.began_s)) for number, slot in found
    ]


def clock(began_s: int) -> str:
    return datetime.fromtimestamp(began_s, UTC).strftime("%H:%M")


def _summary(
    slots: Sequence[Slot], counts: Sequence[tuple[float, ...]], totals: Sequence[Total]
) -> str:
    """What somebody who looks at the drawing would say."""
    said = ", ".join(f"{count(total.count)} {total.name}" for total in totals)
    most = max(range(len(counts)), key=lambda number: sum(counts[number]), default=None)
    if most is None or not any(counts[most]):
        return f"In the last day: {said}."
    began_s = slots[most].began_s
    when = f"between {clock(began_s)} and {clock(began_s + SLOT_S)} UTC"
    return f"In the last day: {said}. Most of it {when}: {count(sum(counts[most]))}."
