"""The queue of one target's notices: claim a due one, send it, and record the result.

Each target has a queue of its own, so a slow or dead one does not delay the others. A lease by
Redis' clock keeps two senders from sending a notice at the same time; it expires when its sender
dies.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import redis

from receiver.inbox.redis import Scripts
from receiver.settings.notice_events import NoticeType

SCRIPTS = ("claim_notice", "settle_notice", "look_for_unattended_notices")
SendResult = Literal["delivered", "failed", "dead"]
LEASE_S = 20.0  # longer than a try, which ends after 15
ATTENDED_S = 5.0  # after a claim, the queue counts as attended
MAX_CAUSE = 500


@dataclass(frozen=True)
class ClaimedNotice:
    """A notice that is ours to send until its lease expires."""

    name: str  # "<target>/<webhook-id>"
    token: str
    type: NoticeType | None  # None: another program wrote this
    batch: str  # its name in the inbox
    data: dict[str, Any]
    enqueued_ms: int  # Unix time by Redis' clock
    tries: int  # that failed

    @property
    def message_id(self) -> str:
        """The `webhook-id`, equal at every try and for every target."""
        return self.name.partition("/")[2]


class NoticeQueue:
    """One target's queue. Every call raises InboxUnavailableError when Redis can't be asked."""

    def __init__(self, client: "redis.Redis", target: str) -> None:
        """`target` is the digest of its address."""
        self._run = Scripts(client, SCRIPTS, targets=(target,)).run

    def claim(
        self, lease_s: float = LEASE_S, events: Iterable[NoticeType] | None = None
    ) -> ClaimedNotice | None:
        """Lease the notice that has been due for longest; None if none is due.

        With `events`, due notices of other types leave the queue, up to a hundred per call.
        """
        times_ms = (int(lease_s * 1000), int(ATTENDED_S * 1000))
        found = self._run("claim_notice", *times_ms, *(events or ()))
        return None if found is None else _read(found)

    def mark_delivered(self, notice: ClaimedNotice) -> None:
        self._settle(notice, "delivered", 0, "")

    def postpone(self, notice: ClaimedNotice, delay_s: float, cause: str) -> None:
        """The try failed; the next one is due after the delay."""
        self._settle(notice, "failed", delay_s, cause)

    def mark_dead(self, notice: ClaimedNotice, cause: str) -> None:
        """Give it up. Dead notices are kept for 30 days."""
        self._settle(notice, "dead", 0, cause)

    def _settle(
        self, notice: ClaimedNotice, result: SendResult, delay_s: float, cause: str
    ) -> None:
        """Record the result, unless another sender holds the lease by now."""
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
        """Whether a notice is due and no sender has claimed from this queue lately."""
        return bool(self._run("look_for_unattended_notices"))


def _read(found: list[bytes | None]) -> ClaimedNotice:
    """Foreign data in Redis gives a notice of no known type, and no error."""
    name, token, *fields = ((part or b"").decode(errors="replace") for part in found)
    try:
        kind, batch, data, enqueued, tries = fields
        return ClaimedNotice(
            name,
            token,
            msgspec.convert(kind, NoticeType),
            batch,
            msgspec.json.decode(data, type=dict[str, Any]),
            int(enqueued),
            int(tries),
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ClaimedNotice(name, token, None, "", {}, 0, 0)
