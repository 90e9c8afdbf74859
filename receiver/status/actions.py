"""The buttons of a batch: what each does, and what the page says afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import redis

from receiver.inbox.ledger import Inbox
from receiver.recovery.manual_actions import replay_one, retry
from receiver.recovery.replay import ReplayCounts
from receiver.settings.settings import Settings
from receiver.storage import Storage

Action = Literal["retry", "bury", "replay"]
CAUSE = "by hand, on the status page"


@dataclass(frozen=True)
class ActionResult:
    """What came of an action."""

    is_done: bool
    text: str


RESULTS: Mapping[str, ActionResult] = {
    "retried": ActionResult(True, "It is queued again, from the first attempt."),
    "unknown": ActionResult(False, "The inbox does not know it: a replay asks Gemini for it."),
    "buried": ActionResult(True, "It is buried. If a worker has it, that stops within seconds."),
    "ended": ActionResult(False, "It is neither waiting nor running, so there is nothing to bury."),
    "queued": ActionResult(True, "Gemini has it and it is not stored: it is queued."),
    "stored": ActionResult(True, "It is stored already: there is nothing to do."),
    "pending": ActionResult(True, "It is queued already."),
    "unfinished": ActionResult(
        False, "Gemini has not finished it yet: its webhook or a reconcile run will queue it."
    ),
    "expired": ActionResult(False, "It ended so long ago that its results are gone at Gemini."),
    "unclear": ActionResult(False, "Gemini does not show it for this project's API key."),
}


def run_action(
    action: Action,
    settings: Settings,
    client: "redis.Redis",
    open_storage: Callable[[], Storage],
    name: str,
) -> str:
    """Do it to a batch, by its name in the inbox. Gives a key of RESULTS. Raises ReceiverError."""
    match action:
        case "retry":
            return "retried" if retry(client, [name]) else "unknown"
        case "bury":
            inbox = Inbox(client, settings.notices.digests)
            return "buried" if inbox.bury_by_hand([name], CAUSE) else "ended"
        case "replay":
            return _find_result(replay_one(settings, client, open_storage(), name))


def _find_result(counts: ReplayCounts) -> str:
    """Of a replay of one batch."""
    for result in ("queued", "stored", "pending", "expired", "unclear"):
        if getattr(counts, result):
            return result
    return "unfinished"
