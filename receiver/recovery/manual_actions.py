"""What a person does with a batch by hand, on the command line or the status page."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import redis

from receiver.batch_names import BatchName
from receiver.errors import EventError, GeminiError, NotFoundError
from receiver.gemini.operations import Batch
from receiver.gemini.project_client import ProjectClient, open_client
from receiver.inbox.delivery_contents import DeliveryContent
from receiver.inbox.delivery_log import Delivery
from receiver.inbox.entries import fetch_causes
from receiver.inbox.job_queue import JobQueue, accept_and_enqueue
from receiver.inbox.ledger import Arrival, Inbox, Source
from receiver.inbox.queries import InboxQueries
from receiver.recovery.expiry import find_expired
from receiver.recovery.replay import ReplayCounts, Verdict, Window, find_stored, replay
from receiver.settings.settings import Settings
from receiver.storage import Storage
from receiver.verification.events import BatchEvent, parse_event
from receiver.verification.signatures import Scheme

GROUP_SIZE = 1000  # batches in one step of Redis
GONE = frozenset({403, 404, 410})
STAYS = "what is stored stays as it is"


def retry(client: "redis.Redis", names: Sequence[str]) -> list[str]:
    """Work on these batches again, from the first attempt. Gives those that the inbox knows.

    Raises InboxUnavailableError when Redis can't be asked.
    """
    inbox, job_queue, retried = Inbox(client), JobQueue(client), list[str]()
    for start in range(0, len(names), GROUP_SIZE):
        known = inbox.entries(names[start : start + GROUP_SIZE])
        inbox.accept(
            [Arrival(name, entry.event, "retry", reopen="all") for name, entry in known.items()]
        )
        job_queue.enqueue_if_room(list(known))  # the sweep enqueues the rest
        retried += known
    return retried


def find_buried(
    client: "redis.Redis", project: str | None, cause: str, most: int | None = None
) -> dict[str, str]:
    """The buried batches of a project, or of all, whose cause has this text in it, with the cause.

    Newest first, of the newest `most`. Capitals do not matter. Raises InboxUnavailableError.
    """
    names = InboxQueries(client).names("buried", project, most)
    wanted, found = cause.lower(), dict[str, str]()
    for start in range(0, len(names), GROUP_SIZE):
        causes = fetch_causes(client, names[start : start + GROUP_SIZE])
        found |= {name: why for name, why in causes.items() if wanted in why.lower()}
    return found


def accept_again(
    client: "redis.Redis", delivery: Delivery, content: DeliveryContent | None
) -> bool:
    """Take a verified delivery in once more, as if it came now; False where its batch is pending.

    `content` is what it brought, where that is kept. Raises InboxUnavailableError.
    """
    source: Source = "static" if delivery.scheme == Scheme.STATIC else "dynamic"
    metadata = "" if content is None else _read_metadata(content)
    arrival = Arrival(delivery.batch, delivery.event, source, metadata=metadata, reopen="all")
    return bool(accept_and_enqueue(Inbox(client), JobQueue(client), [arrival]))


def _read_metadata(content: DeliveryContent) -> str:
    """The user's metadata as JSON; empty without any, and where only a part of the body is kept."""
    if not content.is_whole:
        return ""
    with suppress(EventError):
        event = parse_event(content.body.encode(errors="replace"))
        if isinstance(event, BatchEvent) and event.user_metadata:
            return msgspec.json.encode(event.user_metadata).decode()
    return ""


class Readmission:
    """Puts the batches that a replay misses into the inbox; a dry run only says which."""

    def __init__(self, client: "redis.Redis", *, dry_run: bool = False) -> None:
        self._inbox, self._job_queue = Inbox(client), JobQueue(client)
        self._dry_run = dry_run

    def admit(
        self, batches: Sequence[Batch], gives_results: Callable[[Batch], bool | None]
    ) -> list[Verdict]:
        """Raises InboxUnavailableError when Redis can't be asked."""
        known = self._inbox.entries(batch.name for batch in batches)
        pending = {name for name, entry in known.items() if entry.state in ("open", "leased")}

        doubtful = [batch for batch in batches if batch.name not in pending]
        expired = find_expired(doubtful, gives_results, time.time())
        if not self._dry_run:
            missing = [batch for batch in batches if batch.name not in expired]
            arrivals = [Arrival(one.name, one.event, "replay", reopen="all") for one in missing]
            fresh = accept_and_enqueue(self._inbox, self._job_queue, arrivals)
            pending |= {batch.name for batch in missing} - fresh

        return [
            "expired" if one.name in expired else "pending" if one.name in pending else "queued"
            for one in batches
        ]


def replay_one(
    settings: Settings, client: "redis.Redis", storage: Storage, name: str
) -> ReplayCounts:
    """Ask Gemini for one batch, and queue it if it ended and is not stored.

    Raises UnknownProjectError, GeminiError (NotFoundError where the project has none of that
    name), StorageError and InboxUnavailableError.
    """
    project = settings.project(BatchName.read(name).project)
    readmission = Readmission(client)
    with open_client(settings, project) as batches:
        return replay(
            [batches.get(name)],
            batches.get,
            lambda asked: find_stored(storage, asked),
            lambda missing: readmission.admit(missing, batches.gives_results),
            Window(),
        )


def store_again(
    batches: ProjectClient, client: "redis.Redis", name: str, *, dry_run: bool = False
) -> None:
    """Queue a batch that may be stored; a worker replaces its manifest once the results are whole.

    Raises GeminiError with what is in the way, and InboxUnavailableError.
    """
    batch = _get_with_results(batches, name)
    if dry_run:
        return
    arrival = Arrival(name, batch.event, "again", reopen="all")
    if not accept_and_enqueue(Inbox(client), JobQueue(client), [arrival]):
        raise GeminiError(f"{name} is being worked on; wait until it is stored, then ask again")


def _get_with_results(batches: ProjectClient, name: str) -> Batch:
    """The batch, if Gemini still has its results."""
    try:
        batch = batches.get(name)
    except NotFoundError as error:
        raise GeminiError(f"{error}; {STAYS}") from error

    if not batch.is_terminal:
        raise GeminiError(f"{name} has not ended: Gemini says {batch.state}")
    if not batch.has_output:
        raise GeminiError(f"Gemini has no results of {name}, which is {batch.state}; {STAYS}")
    if batch.result_file is not None:
        status = batches.probe_file(batch.result_file)
        if status in GONE:
            why = f"{status} for {batch.result_file}"
            raise GeminiError(f"the results of {name} at Gemini are gone ({why}); {STAYS}")
    return batch
