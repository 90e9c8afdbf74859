"""The outbox: notices that wait, those that are dead, and how to retry or purge them.

Keys in Redis, all of which expire:

- `gbr:notice:<target>/<webhook-id>`: a notice
- `gbr:notices:<target>`: a target's queue, by due time
- `gbr:notices`: the targets that have had notices
- `gbr:dead_notices`: dead notices, by time

A target is a digest of its address, never the address itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import msgspec
import redis

from receiver.inbox.foreign import read_or, read_text, read_texts
from receiver.inbox.redis import (
    DEAD_NOTICES,
    NOTICE,
    NOTICE_QUEUE,
    NOTICE_TARGETS,
    Scripts,
    read_time_ms,
    translate_redis_errors,
)
from receiver.notices.payloads import Message

SCRIPT_BATCH_SIZE = 1000  # notices per call of a script
NoticeState = Literal["waiting", "sending", "dead"]


@dataclass(frozen=True)
class Notice:
    """One message for one target."""

    name: str  # "<target>/<webhook-id>"
    target: str  # digest of its address
    state: NoticeState
    type: str
    batch: str  # its name in the inbox
    enqueued_ms: int  # Unix time by Redis' clock, as all of these
    due_ms: int | None  # of the next try, or when the lease of a running one ends; None if dead
    died_ms: int | None
    tries: int  # that failed
    cause: str  # of the last one
    data: str  # JSON


class OutboxStatus(msgspec.Struct, frozen=True):
    """The outbox in numbers."""

    waiting: int
    dead: int
    oldest_due_s: int | None  # how long the oldest notice has been due; None if none is due


@translate_redis_errors()
def read_outbox_status(client: "redis.Redis") -> OutboxStatus:
    """Of all targets. Raises InboxUnavailableError."""
    queues = _queues(client)
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.zcard(DEAD_NOTICES)
    for queue in queues:
        pipeline.zcard(queue)
        pipeline.zrange(queue, 0, 0, withscores=True)
    redis_time, dead, *found = pipeline.execute(raise_on_error=False)
    now_ms = read_time_ms(redis_time)
    first = [row for rows in found[1::2] if isinstance(rows, list) for row in rows]
    first_ms = min((score for _, score in first), default=now_ms + 1)
    oldest_due_s = None if first_ms > now_ms else int(now_ms - first_ms) // 1000
    return OutboxStatus(sum(map(_count, found[::2])), _count(dead), oldest_due_s)


def _count(answer: object) -> int:
    """0 where another program has put something else under the key."""
    return answer if isinstance(answer, int) else 0


def _queues(client: "redis.Redis") -> list[str]:
    found: set[Any] = read_or(set[Any](), lambda: client.smembers(NOTICE_TARGETS))
    return sorted(NOTICE_QUEUE + target for target in read_texts(found))


def _scored(client: "redis.Redis", key: str) -> list[tuple[str, int]]:
    found: list[Any] = read_or([], lambda: client.zrange(key, 0, -1, withscores=True))
    return [(text, int(score)) for name, score in found if (text := read_text(name)) is not None]


class Outbox:
    """Every call raises InboxUnavailableError when Redis can't be asked."""

    def __init__(self, client: "redis.Redis", targets: Sequence[str] = ()) -> None:
        """`targets`: the digests of the targets that `enqueue` writes to."""
        self._client = client
        self._run = Scripts(
            client, ("enqueue_notice", "retry_notices", "purge_notices"), targets=targets
        ).run

    def enqueue(self, batch: str, message: Message) -> None:
        """Enqueue a message on a batch for every target, unless the same one waits already."""
        self._run("enqueue_notice", batch, *message.encode())

    def retry(self, names: Sequence[str]) -> list[str]:
        """Make these notices due now, as if never tried. Gives those that existed."""
        return self._change("retry_notices", names)

    def purge(self, names: Sequence[str]) -> list[str]:
        """Delete these notices, even while they are sent. Gives those that existed."""
        return self._change("purge_notices", names)

    def _change(self, script: str, names: Sequence[str]) -> list[str]:
        """In groups, since Redis serves nobody else while a script runs."""
        groups = (
            names[start : start + SCRIPT_BATCH_SIZE]
            for start in range(0, len(names), SCRIPT_BATCH_SIZE)
        )
        return read_texts(name for group in groups for name in self._run(script, *group))

    def names(self, *, dead: bool = False) -> dict[str, int | None]:
        """All notices with the Unix time in ms of their next try, which is None for dead ones.

        Those that wait come first, by that time, then dead ones, newest first. `dead`: only these.
        """
        with translate_redis_errors():
            queues = [] if dead else _queues(self._client)
            waiting = sorted(
                (row for queue in queues for row in _scored(self._client, queue)),
                key=lambda row: row[1],
            )
            dead_ones = reversed(_scored(self._client, DEAD_NOTICES))
        return {**dict(waiting), **{name: None for name, _ in dead_ones}}

    def read(self, names: Mapping[str, int | None]) -> list[Notice]:
        """The notices that `names` gave; those that are gone by now are left out."""
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(NOTICE + name)
        with translate_redis_errors():
            found = pipeline.execute(raise_on_error=False)
        pairs = zip(names.items(), found, strict=True)
        return [
            _read_notice(name, due_ms, row)
            for (name, due_ms), row in pairs
            if isinstance(row, dict) and row
        ]

    def listing(self, limit: int | None = None, *, dead: bool = False) -> list[Notice]:
        """The first notices in the order of `names`; all of them without a limit."""
        return self.read(dict(islice(self.names(dead=dead).items(), limit)))


def _read_notice(name: str, due_ms: int | None, row: dict[bytes, bytes]) -> Notice:
    fields = {
        key.decode(errors="replace"): value.decode(errors="replace") for key, value in row.items()
    }
    state: NoticeState = "dead" if due_ms is None else "sending" if "token" in fields else "waiting"
    return Notice(
        name=name,
        target=name.partition("/")[0],
        state=state,
        type=fields.get("type", ""),
        batch=fields.get("batch", ""),
        enqueued_ms=_number(fields.get("owed", "")) or 0,
        due_ms=due_ms,
        died_ms=_number(fields.get("died", "")),
        tries=_number(fields.get("tries", "")) or 0,
        cause=fields.get("cause", ""),
        data=fields.get("data", ""),
    )


def _number(text: str) -> int | None:
    """None for foreign data."""
    return int(text) if text.isascii() and text.isdigit() else None
