"""Which batches wait for Gemini or the storage, and why: one row per kind of outage."""

from itertools import islice
from typing import Any, Literal

import msgspec
import redis

from receiver.inbox.redis import SCAN_SIZE, Scripts

Kind = Literal["outage", "refusal"]
KINDS: tuple[Kind, ...] = ("outage", "refusal")
MAX_READ = 20_000  # entries in all: of more, the ones that are due first


class Outage(msgspec.Struct, frozen=True):
    """What holds batches up that are not at fault."""

    kind: Kind  # faults of Gemini, the network or the storage; or Gemini knows no such thing
    batches: int
    since_ms: int  # its batches' first fault, in Unix time by Redis' clock
    cause: str  # of the batch that has waited longest
    is_all: bool = True  # else more batches were due than were read


def find_outages(client: "redis.Redis") -> list[Outage]:
    """One for each kind that there is. Raises InboxUnavailableError when Redis can't be asked.

    Redis sums up by itself: ten thousand entries would take a second to travel.
    """
    found = dict[Kind, Outage]()
    is_all = False
    pages = Scripts(client, ("outages",)).scan_due("outages")
    for size, *sums in islice(pages, MAX_READ // SCAN_SIZE):
        is_all = size < SCAN_SIZE
        for kind, row in zip(KINDS, sums, strict=True):
            if row[0]:
                found[kind] = _join(found.get(kind), _read(kind, row))
    return [msgspec.structs.replace(found[kind], is_all=is_all) for kind in KINDS if kind in found]


def _read(kind: Kind, row: list[Any]) -> Outage:
    batches, since, cause = row
    return Outage(kind, batches, int(since), cause.decode(errors="replace"))


def _join(before: Outage | None, more: Outage) -> Outage:
    if before is None:
        return more
    oldest = min(before, more, key=lambda one: one.since_ms)
    return Outage(more.kind, before.batches + more.batches, oldest.since_ms, oldest.cause)
