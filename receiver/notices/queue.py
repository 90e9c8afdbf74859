"""The queue of notices that one target is owed: claim one that is due, send it, say what became of it.

Each target has its own, so a slow or dead one holds up no other. A lease on Redis' clock keeps two senders from sending
one notice at once; a sender that dies lets it run out.
"""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import redis

from receiver.inbox.redis import NOTICE_QUEUE, now_ms, translate_redis_errors
from receiver.inbox.scripts import Scripts
from receiver.notices.payloads import Type

Result = Literal["delivered", "failed", "dead"]
LEASE_S = 20.0  # nothing is sent later than 15 after the claim
PRESENT_S = 5.0  # how long a look at an empty queue counts as somebody's presence
MAX_CAUSE = 500


@dataclass(frozen=True)
class Claimed:
    """A notice that is ours to send until the lease runs out."""

    name: str  # "<target>/<webhook-id>"
    token: str
    type: Type | None  # None: nobody of ours wrote this
    batch: str  # its name in the inbox
    data: dict[str, Any]
    owed_ms: int  # Unix time by Redis' clock
    tries: int  # that failed

    @property
    def message_id(self) -> str:
        """The `webhook-id`: the same at every try and for every target."""
        return self.name.partition("/")[2]


class NoticeQueue:
    """One target's. Every call raises InboxUnavailableError when Redis can't be asked."""

    def __init__(self, client: "redis.Redis", target: str) -> None:
        """`target` is a digest."""
        self._client, self._key = client, NOTICE_QUEUE + target
        self._run = Scripts(client, ("claim_notice", "settle_notice"), targets=(target,)).run

    def claim(self, lease_s: float = LEASE_S) -> Claimed | None:
        """Take the notice that has been due for longest; None when none is."""
        found = self._run("claim_notice", int(lease_s * 1000), int(PRESENT_S * 1000))
        return None if found is None else _read(found)

    def delivered(self, notice: Claimed) -> None:
        self._settle(notice, "delivered", 0, "")

    def postpone(self, notice: Claimed, delay_s: float, cause: str) -> None:
        """The try failed; the next one is due after the delay."""
        self._settle(notice, "failed", delay_s, cause)

    def mark_dead(self, notice: Claimed, cause: str) -> None:
        """Put it among the dead ones, which are kept for 30 days."""
        self._settle(notice, "dead", 0, cause)

    def _settle(self, notice: Claimed, result: Result, delay_s: float, cause: str) -> None:
        """Where somebody else has the notice by now, what became of it is theirs to say."""
        kind = notice.type or "unknown"
        self._run(
            "settle_notice",
            notice.name,
            notice.token,
            result,
            int(delay_s * 1000),
            cause[:MAX_CAUSE],
            kind,
        )

    def is_unattended(self) -> bool:
        """Whether something is due and nobody has looked here lately."""
        with translate_redis_errors():
            if self._client.exists(f"{self._key}:served"):
                return False
            return bool(self._client.zcount(self._key, "-inf", now_ms(self._client)))


def _read(found: list[bytes | None]) -> Claimed:
    """Whatever somebody wrote into Redis, a notice of an unknown type is the worst that comes of it."""
    name, token, *fields = ((part or b"").decode(errors="replace") for part in found)
    try:
        kind, batch, data, owed, tries = fields
        return Claimed(
            name,
            token,
            msgspec.convert(kind, Type),
            batch,
            msgspec.json.decode(data, type=dict[str, Any]),
            int(owed),
            int(tries),
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Claimed(name, token, None, "", {}, 0, 0)
