"""What was counted in the last day, half hour by half hour.

The scripts that count for `/metrics` write every counter a second time, into the hash of the running half hour,
`gbr:history:<Unix time by Redis' clock / half an hour>`. A hash goes after 26 hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import redis

from receiver.errors import InboxUnavailableError
from receiver.metrics.counters import read_counts

HISTORY = "gbr:history"
SLOT_S = 1800
SLOTS = 48


@dataclass(frozen=True)
class Slot:
    """Half an hour."""

    began_s: int  # Unix time
    counts: Mapping[str, float]  # by the fields of `metrics`

    def total(self, *fields: str) -> float:
        """The sum of these fields; a field that ends with `:` stands for all that begin with it."""
        prefixes = tuple(field for field in fields if field.endswith(":"))
        chosen = (count for name, count in self.counts.items() if name in fields or name.startswith(prefixes))
        return sum(chosen)


def fetch_history(client: "redis.Redis", slots: int = SLOTS) -> list[Slot]:
    """The last half hours, oldest first; the last one is still running. Raises InboxUnavailableError."""
    try:
        seconds, _ = client.time()
        last = int(seconds) // SLOT_S
        numbers = range(last - slots + 1, last + 1)
        pipeline = client.pipeline(transaction=False)
        for number in numbers:
            pipeline.hgetall(f"{HISTORY}:{number}")
        rows = pipeline.execute(raise_on_error=False)
    except redis.RedisError as error:
        raise InboxUnavailableError(f"Redis did not answer: {error}") from error
    return [Slot(number * SLOT_S, read_counts(row)) for number, row in zip(numbers, rows, strict=True)]
