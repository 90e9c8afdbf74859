"""Amounts of work, for people."""

from typing import Literal

Unit = Literal["bytes", "objects", "batches", "checks"]
MEGA = 1_000_000


def show_amount(done: float, whole: float | None, unit: Unit) -> str:
    """What is done, and of how much where that is known.

    >>> show_amount(1_234, None, "batches"), show_amount(2_500_000, 10_000_000, "bytes")
    ('1,234 batches', '2.5 of 10.0 MB')
    """
    counts = [count for count in (done, whole) if count is not None]
    texts = [f"{count / MEGA:,.1f}" if unit == "bytes" else f"{int(count):,}" for count in counts]
    return f"{' of '.join(texts)} {'MB' if unit == 'bytes' else unit}"
