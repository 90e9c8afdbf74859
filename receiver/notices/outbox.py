"""The outbox as a person looks at it: what waits, what is dead, and how to set it going again.

Keys in Redis, all with an expiry: `gbr:notice:<target>/<webhook-id>` is a notice, `gbr:notices:<target>` the queue of
a target by due time, `gbr:notices` the targets that were owed something, `gbr:dead_notices` what was given up by time.
A target is a digest of its address, never the address.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import redis

from receiver.errors import InboxUnavailableError
from receiver.inbox.scripts import NOTICE_QUEUE, Scripts
from receiver.notices.messages import Message, encode_data

TARGETS, DEAD, NOTICE = "gbr:notices", "gbr:dead_notices", "gbr:notice:"
State = Literal["waiting", "sending", "dead"]


@dataclass(frozen=True)
class Notice:
    """One message that one target is owed."""

    name: str  # "<target>/<webhook-id>"
    target: str  # digest of its address
    state: State
    type: str
    batch: str  # its name in the inbox
    owed_ms: int  # Unix time by Redis' clock, as all of these
    due_ms: int | None  # of the next try; of one that is being sent: when somebody else may; None for a dead one
    died_ms: int | None
    tries: int  # that failed
    cause: str  # of the last one
    data: str  # JSON


class Standing(msgspec.Struct, frozen=True):
    """How the outbox stands."""

    waiting: int
    dead: int
    oldest_due_s: int | None  # how long the oldest notice has been due; None when none is


def read_standing(client: "redis.Redis") -> Standing:
    """Of all targets that are owed something. Raises redis.RedisError."""
    queues = _queues(client)
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.zcard(DEAD)
    for queue in queues:
        pipeline.zcard(queue)
        pipeline.zrange(queue, 0, 0, withscores=True)
    (seconds, microseconds), dead, *found = pipeline.execute()
    now_ms = seconds * 1000 + microseconds // 1000
    first_ms = min((score for rows in found[1::2] for _, score in rows), default=now_ms + 1)
    oldest_due_s = None if first_ms > now_ms else int(now_ms - first_ms) // 1000
    return Standing(sum(found[::2]), dead, oldest_due_s)


def _queues(client: "redis.Redis") -> list[str]:
    found: Any = client.smembers(TARGETS)
    return sorted(NOTICE_QUEUE + target.decode(errors="replace") for target in found)


def _scored(client: "redis.Redis", key: str) -> list[tuple[str, int]]:
    found: list[Any] = client.zrange(key, 0, -1, withscores=True)
    return [(name.decode(errors="replace"), int(score)) for name, score in found]


class Outbox:
    """Every call raises InboxUnavailableError when Redis can't be asked."""

    def __init__(self, client: "redis.Redis", targets: Sequence[str] = ()) -> None:
        """`targets` are the digests of those whom `owe` is for."""
        self._client = client
        self._run = Scripts(client, ("owe_notice", "retry_notices", "purge_notices"), targets=targets).run

    def owe(self, batch: str, message: Message) -> None:
        """Owe a message about a batch to every target, at once. One that waits already is not owed twice."""
        self._run("owe_notice", batch, message.type, encode_data(message.data))

    def retry(self, names: Sequence[str]) -> list[str]:
        """Make these notices due now, as if never tried. Gives those that were there."""
        return [name.decode() for name in self._run("retry_notices", *names)]

    def purge(self, names: Sequence[str]) -> list[str]:
        """Forget these notices, even one that is being sent. Gives those that were there."""
        return [name.decode() for name in self._run("purge_notices", *names)]

    def listing(self) -> list[Notice]:
        """All of them: first what waits, by due time, then what is dead, newest first."""
        try:
            return self._read()
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not answer: {error}") from error

    def _read(self) -> list[Notice]:
        rows = [row for queue in _queues(self._client) for row in _scored(self._client, queue)]
        waiting = sorted(rows, key=lambda row: row[1])
        dead = [name for name, _ in reversed(_scored(self._client, DEAD))]
        pipeline = self._client.pipeline(transaction=False)
        names = [*waiting, *((name, None) for name in dead)]
        for name, _ in names:
            pipeline.hgetall(NOTICE + name)
        found = pipeline.execute(raise_on_error=False)
        pairs = zip(names, found, strict=True)
        return [_read_notice(name, due_ms, row) for (name, due_ms), row in pairs if isinstance(row, dict) and row]


def _read_notice(name: str, due_ms: int | None, row: dict[bytes, bytes]) -> Notice:
    fields = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in row.items()}
    state: State = "dead" if due_ms is None else "sending" if "token" in fields else "waiting"
    return Notice(
        name=name,
        target=name.partition("/")[0],
        state=state,
        type=fields.get("type", ""),
        batch=fields.get("batch", ""),
        owed_ms=_number(fields.get("owed", "")) or 0,
        due_ms=due_ms,
        died_ms=_number(fields.get("died", "")),
        tries=_number(fields.get("tries", "")) or 0,
        cause=fields.get("cause", ""),
        data=fields.get("data", ""),
    )


def _number(text: str) -> int | None:
    """Anybody may have written there."""
    return int(text) if text.isascii() and text.isdigit() else None
