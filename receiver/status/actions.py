"""The buttons: what each does, and what it says afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import redis

from receiver.inbox.ledger import Inbox
from receiver.recovery.manual_actions import replay_one, retry
from receiver.recovery.replay import ReplayCounts
from receiver.settings.settings import Settings
from receiver.storage import Storage

Deed = Literal["retry", "bury", "replay"]
CAUSE = "by hand, on the status page"


@dataclass(frozen=True)
class ActionResult:
    """What became of a deed."""

    is_done: bool
    text: str


SAYINGS: Mapping[str, ActionResult] = {
    "retried": ActionResult(True, "It is queued again, from the first attempt."),
    "unknown": ActionResult(False, "The inbox does not know it: a replay asks Gemini for it."),
    "buried": ActionResult(True, "It is buried. A worker that was at it stops within seconds."),
    "settled": ActionResult(
        False, "It is neither waiting nor running, so there is nothing to bury."
    ),
    "queued": ActionResult(True, "Gemini has it and it is not stored: it is queued."),
    "stored": ActionResult(True, "It is stored already: there is nothing to do."),
    "pending": ActionResult(True, "It is queued already."),
    "unfinished": ActionResult(
        False, "Gemini has not finished it yet: a callback or a look will bring it."
    ),
    "expired": ActionResult(
        False, "It ended longer ago than results live, and its results are gone at Gemini."
    ),
    "unclear": ActionResult(False, "Gemini does not show it for this project's API key."),
}


def do(
    deed: Deed, settings: Settings, client: "redis.Redis", storage: Callable[[], Storage], name: str
) -> str:
    """Do it to a batch, by its name in the inbox. Gives a key of SAYINGS. Raises ReceiverError."""
    if deed == "retry":
        return "retried" if retry(client, [name]) else "unknown"
    if deed == "bury":
        inbox = Inbox(client, settings.notices.digests)
        return "buried" if inbox.bury_by_hand([name], CAUSE) else "settled"
    return _told(replay_one(settings, client, storage(), name))


def _told(counts: ReplayCounts) -> str:
    if counts.queued:
        return "queued"
    if counts.stored:
        return "stored"
    if counts.pending:
        return "pending"
    if counts.expired:
        return "expired"
    return "unclear" if counts.unclear else "unfinished"
