"""The buttons: what each does, and what the page says afterwards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import redis

from receiver.inbox.delivery_contents import fetch_content
from receiver.inbox.delivery_log import find_delivery
from receiver.inbox.ledger import Inbox
from receiver.inbox.paused import PausedProjects
from receiver.notices.outbox import Outbox
from receiver.recovery.manual_actions import accept_again, find_buried, replay_one, retry
from receiver.recovery.replay import ReplayCounts
from receiver.settings.settings import Settings
from receiver.storage import Storage
from receiver.submissions.again import ask_to_send_again

Action = Literal["retry", "bury", "replay", "again"]
CAUSE = "by hand, on the status page"


@dataclass(frozen=True)
class ActionResult:
    """What came of an action, in words; `{}` stands for how many there were."""

    is_done: bool
    text: str


@dataclass(frozen=True)
class Done:
    """What came of an action."""

    result: str  # a key of RESULTS
    count: int | None = None


@dataclass(frozen=True)
class Tools:
    """What an action works with."""

    settings: Settings
    client: "redis.Redis"
    open_storage: Callable[[], Storage]


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
    "asked": ActionResult(True, "A worker makes a submission of them; this page says which one."),
    "asked_before": ActionResult(True, "Somebody asked for that already: it is under way."),
    "retried_many": ActionResult(True, "Queued again, from the first attempt: {}."),
    "taken": ActionResult(True, "It is taken in again: its batch is queued."),
    "gone": ActionResult(False, "This delivery is not in the list any more, or proves nothing."),
    "paused": ActionResult(True, "It is paused: workers take nothing of it."),
    "paused_before": ActionResult(True, "It was paused before."),
    "resumed": ActionResult(True, "It is resumed: workers go on with it within a minute."),
    "resumed_before": ActionResult(True, "It was not paused."),
    "notices_queued": ActionResult(True, "Sent now, with all tries ahead: {}."),
    "notices_purged": ActionResult(True, "Removed: {}."),
}
MAX_LOOKED_AT = 10_000  # buried batches, of which one press retries those that match


def run_action(action: Action, tools: Tools, name: str) -> Done:
    """Do it to a batch, by its name in the inbox. Raises ReceiverError."""
    client = tools.client
    match action:
        case "retry":
            return Done("retried" if retry(client, [name]) else "unknown")
        case "bury":
            inbox = Inbox(client, tools.settings.notices.digests)
            return Done("buried" if inbox.bury_by_hand([name], CAUSE) else "ended")
        case "replay":
            counts = replay_one(tools.settings, client, tools.open_storage(), name)
            return Done(_find_result(counts))
        case "again":
            return Done("asked" if ask_to_send_again(client, name) else "asked_before")


def retry_matching(tools: Tools, project: str | None, cause: str) -> Done:
    """Retry the newest buried batches of a project, or of all, whose cause has this text in it."""
    found = find_buried(tools.client, project, cause, MAX_LOOKED_AT)
    return Done("retried_many", len(retry(tools.client, list(found))))


def take_in_again(tools: Tools, ref: str) -> Done:
    """Take a delivery in once more."""
    delivery = find_delivery(tools.client, ref)
    if delivery is None or delivery.verdict not in ("accepted", "known"):
        return Done("gone")
    content = fetch_content(tools.client, delivery.name, delivery.time_ms)
    return Done("taken" if accept_again(tools.client, delivery, content) else "pending")


def pause_or_resume(tools: Tools, order: str, project: str) -> Done:
    """`order` is "pause" or "resume"."""
    paused = PausedProjects(tools.client)
    changed = paused.pause([project]) if order == "pause" else paused.resume([project])
    past = {"pause": "paused", "resume": "resumed"}[order]
    return Done(past if changed else f"{past}_before")


def change_notices(tools: Tools, action: str, choose: "NoticeChoice") -> Done:
    """`action` is "retry" or "purge"."""
    outbox = Outbox(tools.client)
    names = choose(outbox, tools.settings.notices.hosts)
    if action == "retry":
        return Done("notices_queued", len(outbox.retry(names)))
    return Done("notices_purged", len(outbox.purge(names)))


NoticeChoice = Callable[[Outbox, Mapping[str, str]], Sequence[str]]


def choose_dead(outbox: Outbox, _hosts: Mapping[str, str]) -> Sequence[str]:
    """Every dead notice."""
    return list(outbox.names(dead=True))


def choose_stale(outbox: Outbox, hosts: Mapping[str, str]) -> Sequence[str]:
    """Every notice for a target that left the settings."""
    return [name for name in outbox.names() if name.partition("/")[0] not in hosts]


def _find_result(counts: ReplayCounts) -> str:
    """Of a replay of one batch."""
    for result in ("queued", "stored", "pending", "expired", "unclear"):
        if getattr(counts, result):
            return result
    return "unfinished"
