"""What a person does with a batch by hand, on the command line or on the status page."""

import time
from collections.abc import Callable, Sequence

import redis

from receiver.batch_names import BatchName
from receiver.gemini.operations import Batch
from receiver.gemini.project_client import open_batches
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.recovery.expiry import find_expired
from receiver.recovery.replay import ReplayCounts, Verdict, Window, find_stored, replay
from receiver.settings.settings import Settings
from receiver.storage import Storage


def retry(client: "redis.Redis", names: Sequence[str]) -> list[str]:
    """Work on these batches again, from the first attempt. Gives those that the inbox knows.

    Raises InboxUnavailableError when Redis can't be asked.
    """
    inbox = Inbox(client)
    known = inbox.entries(names)
    inbox.accept(
        [Arrival(name, entry.event, "retry", reopen="all") for name, entry in known.items()]
    )
    JobQueue(client).ring(known)
    return list(known)


class Readmission:
    """Where a replay puts missing batches: puts batches into the inbox, or in a dry run only says what would happen."""

    def __init__(self, client: "redis.Redis", *, dry_run: bool = False) -> None:
        self._inbox, self._bell = Inbox(client), JobQueue(client)
        self._dry_run = dry_run

    def admit(
        self, batches: Sequence[Batch], gives_results: Callable[[Batch], bool | None]
    ) -> list[Verdict]:
        """Raises InboxUnavailableError when Redis can't be asked."""
        known = self._inbox.entries(batch.name for batch in batches)
        owed = {name for name, entry in known.items() if entry.state in ("open", "leased")}
        expired = find_expired(
            [batch for batch in batches if batch.name not in owed], gives_results, time.time()
        )
        if not self._dry_run:
            owed |= self._queue([batch for batch in batches if batch.name not in expired])
        return [
            "expired" if one.name in expired else "owed" if one.name in owed else "queued"
            for one in batches
        ]

    def _queue(self, batches: Sequence[Batch]) -> set[str]:
        """Gives the names of those that are owed already."""
        arrivals = [
            Arrival(one.name, f"batch.{one.state.lower()}", "replay", reopen="all")
            for one in batches
        ]
        opened = self._inbox.accept(arrivals)
        fresh = {batch.name for batch, is_opened in zip(batches, opened, strict=True) if is_opened}
        self._bell.ring(fresh)
        return {batch.name for batch in batches} - fresh


def replay_one(
    settings: Settings, client: "redis.Redis", storage: Storage, name: str
) -> ReplayCounts:
    """Ask Gemini for one batch, and queue it if it ended and is not stored.

    Raises UnknownProjectError, GeminiError (NotFoundError where the project has none of that name), StorageError and
    InboxUnavailableError.
    """
    project = settings.project(BatchName.read(name).project)
    readmission = Readmission(client)
    with open_batches(settings, project) as batches:
        found = batches.get(name)
        return replay(
            [found],
            batches.get,
            lambda asked: find_stored(storage, asked),
            lambda missing: readmission.admit(missing, batches.gives_results),
            Window(),
        )
