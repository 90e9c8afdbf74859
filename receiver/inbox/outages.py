"""Which batches wait for Gemini or the storage, and why: one row for all that an outage holds up."""

from typing import Any, Literal

import msgspec
import redis

from receiver.inbox.scripts import Scripts

Kind = Literal["outage", "refusal"]
KINDS: tuple[Kind, ...] = ("outage", "refusal")
TOGETHER = 2000  # entries that Redis goes through in one go, a few milliseconds
MAX_READ = 20_000  # entries in all: of more, the ones that are due first


class Outage(msgspec.Struct, frozen=True):
    """What holds batches up that are not at fault."""

    kind: Kind  # faults of Gemini, the network or the storage; or Gemini knows no such thing
    batches: int
    since_ms: (
        int  # the first fault of the batch that has waited longest, in Unix time by Redis' clock
    )
    cause: str  # of the batch that has waited longest
    is_all: bool = True  # else more batches were due than were looked at


def find_outages(client: "redis.Redis") -> list[Outage]:
    """One for each kind that there is. Raises InboxUnavailableError when Redis can't be asked.

    Redis sums up by itself: ten thousand entries would take a second to travel.
    """
    scripts, found = Scripts(client, ("outages",)), dict[Kind, Outage]()
    start, looked_at = 0, TOGETHER
    while looked_at == TOGETHER and start < MAX_READ:
        looked_at, *sums = scripts.run("outages", start, start + TOGETHER - 1)
        start += TOGETHER
        for kind, row in zip(KINDS, sums, strict=True):
            if row[0]:
                found[kind] = _join(found.get(kind), _read(kind, row))
    is_all = looked_at < TOGETHER
    return [msgspec.structs.replace(found[kind], is_all=is_all) for kind in KINDS if kind in found]


def _read(kind: Kind, row: list[Any]) -> Outage:
    batches, since, cause = row
    return Outage(kind, batches, int(since), cause.decode(errors="replace"))


def _join(before: Outage | None, more: Outage) -> Outage:
    if before is None:
        return more
    oldest = min(before, more, key=lambda one: one.since_ms)
    return Outage(more.kind, before.batches + more.batches, oldest.since_ms, oldest.cause)
