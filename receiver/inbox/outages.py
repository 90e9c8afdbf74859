"""Which batches wait for Gemini or the storage, and why: one row for all that an outage holds up."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import redis

from receiver.errors import InboxUnavailableError
from receiver.inbox.entries import ENTRY
from receiver.inbox.foreign import read_or
from receiver.inbox.scripts import DUE

TOGETHER = 1000  # entries asked for in one go


class Outage(msgspec.Struct, frozen=True):
    """What holds batches up that are not at fault."""

    kind: Literal["outage", "refusal"]  # faults of Gemini, the network or the storage; or Gemini knows no such thing
    batches: int
    since_ms: int  # the first fault of the batch that has waited longest, in Unix time by Redis' clock
    cause: str  # of the batch that has waited longest


def find_outages(client: "redis.Redis") -> list[Outage]:
    """One for each kind that there is. Raises InboxUnavailableError when Redis can't be asked."""
    try:
        due: list[Any] = read_or([], lambda: client.zrange(DUE, 0, -1))
        rows = [row for names in _groups(due) for row in _read(client, names)]
    except redis.RedisError as error:
        raise InboxUnavailableError(f"Redis did not answer: {error}") from error
    refusals = [(int(refused), cause) for _, refused, cause in rows if refused and refused.isdigit()]
    outages = [(int(away), cause) for away, refused, cause in rows if not refused and away.isdigit()]
    return [*_sum_up("outage", outages), *_sum_up("refusal", refusals)]


def _groups(names: Any) -> list[Sequence[bytes]]:
    return [names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER)]


def _read(client: "redis.Redis", names: Sequence[bytes]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.hmget(ENTRY.encode() + name, "outages_since", "refusals_since", "cause")
    rows = pipeline.execute(raise_on_error=False)  # whatever somebody wrote there, the others are shown
    return [row for row in rows if isinstance(row, list) and any(row[:2])]


def _sum_up(kind: Literal["outage", "refusal"], found: list[tuple[int, bytes | None]]) -> list[Outage]:
    if not found:
        return []
    since_ms, cause = min(found, key=lambda one: one[0])
    return [Outage(kind, len(found), since_ms, (cause or b"").decode(errors="replace"))]
