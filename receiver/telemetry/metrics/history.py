"""What was counted in the last day, week or month.

The scripts that count for `/metrics` also write every counter, and what each stored batch cost,
into two hashes: that of the current half hour, `gbr:history:<Unix time by Redis' clock / half an
hour>`, which expires after 26 hours, and that of the current three hours, `gbr:trend:<…>`, which
expires after 32 days.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import redis

from receiver.inbox.redis import HISTORY, TREND, Scripts, now_ms, translate_redis_errors
from receiver.telemetry.metrics.counters import read_costs, read_counts
from receiver.telemetry.metrics.definitions import DAY_S, SLOT_S, TREND_S, Slot

RangeName = Literal["day", "week", "month"]


@dataclass(frozen=True)
class Range:
    """How far a chart looks back, and in what steps."""

    name: RangeName
    key: str  # of its hashes
    kept_s: int  # what one of these covers
    slot_s: int  # what one slot covers: a multiple of that
    slots: int


DAY = Range("day", HISTORY, SLOT_S, SLOT_S, 48)
WEEK = Range("week", TREND, TREND_S, TREND_S, 56)
MONTH = Range("month", TREND, TREND_S, DAY_S, 30)  # days of UTC
COUNTED_TTL_S = 32 * DAY_S
RANGES: dict[str, Range] = {one.name: one for one in (DAY, WEEK, MONTH)}


def count_cost(client: "redis.Redis", batch: str, cost: str) -> None:
    """Count what was stored without an entry in the inbox: once, however often it is told.

    `batch` is its name in the inbox, `cost` what `encode_cost` gives. Raises InboxUnavailableError.
    """
    Scripts(client, ("count_cost",)).run("count_cost", f"cost:{batch}", COUNTED_TTL_S, cost)


def fetch_history(client: "redis.Redis", span: Range = DAY) -> list[Slot]:
    """Its slots, oldest first; the last one is not over. Raises InboxUnavailableError."""
    each = span.slot_s // span.kept_s
    with translate_redis_errors():
        now_s = now_ms(client) // 1000
        first_s = (now_s // span.slot_s - span.slots + 1) * span.slot_s
        numbers = range(first_s // span.kept_s, now_s // span.kept_s + 1)
        pipeline = client.pipeline(transaction=False)
        for number in numbers:
            pipeline.hgetall(f"{span.key}:{number}")
        rows = pipeline.execute(raise_on_error=False)

    groups = [rows[start : start + each] for start in range(0, len(rows), each)]
    return [
        _add_up(first_s + number * span.slot_s, some, span) for number, some in enumerate(groups)
    ]


def _add_up(began_s: int, rows: Sequence[object], span: Range) -> Slot:
    row = rows[0] if len(rows) == 1 else _merge(rows)
    return Slot(began_s, read_counts(row), read_costs(row), span.slot_s)


def _merge(rows: Iterable[object]) -> dict[bytes, bytes]:
    """One hash with the sums of all; whole numbers stay exact, what is no number is left out."""
    sums = dict[bytes, float]()
    for row in rows:
        for field, text in row.items() if isinstance(row, Mapping) else ():
            with suppress(ValueError, OverflowError):
                value = int(text) if text.isdigit() else float(text)
                if math.isfinite(value):
                    sums[field] = sums.get(field, 0) + value
    return {field: str(value).encode() for field, value in sums.items()}
