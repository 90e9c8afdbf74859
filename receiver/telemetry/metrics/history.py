"""What was counted in the last day, half hour by half hour.

The scripts that count for `/metrics` also write every counter into the hash of the current half
hour, `gbr:history:<Unix time by Redis' clock / half an hour>`. A hash expires after 26 hours.
"""

import redis

from receiver.inbox.redis import HISTORY, now_ms, translate_redis_errors
from receiver.telemetry.metrics.counters import read_counts
from receiver.telemetry.metrics.definitions import SLOT_S, Slot

SLOTS = 48


def fetch_history(client: "redis.Redis", slots: int = SLOTS) -> list[Slot]:
    """The last half hours, oldest first; the last one is not over. Raises InboxUnavailableError."""
    with translate_redis_errors():
        last = now_ms(client) // 1000 // SLOT_S
        numbers = range(last - slots + 1, last + 1)
        pipeline = client.pipeline(transaction=False)
        for number in numbers:
            pipeline.hgetall(f"{HISTORY}:{number}")
        rows = pipeline.execute(raise_on_error=False)
    return [
        Slot(number * SLOT_S, read_counts(row)) for number, row in zip(numbers, rows, strict=True)
    ]
