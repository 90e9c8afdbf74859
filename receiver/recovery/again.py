"""Stores a batch once more though it is stored, for as long as Gemini has its results."""

import redis

from receiver.errors import GeminiError, NotFoundError
from receiver.gemini.operations import Batch
from receiver.gemini.project_client import ProjectClient
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival, Inbox

GONE = frozenset({403, 404, 410})
STAYS = "what is stored stays as it is"


def ask_again(
    batches: ProjectClient, client: "redis.Redis", name: str, *, dry_run: bool = False
) -> None:
    """Queue a batch by its name in the inbox; a worker replaces its manifest once the results have come whole.

    Raises GeminiError with what is in the way, and InboxUnavailableError.
    """
    batch = _find(batches, name)
    if dry_run:
        return
    arrival = Arrival(name, f"batch.{batch.state.lower()}", "again", reopen="all")
    if not Inbox(client).accept([arrival])[0]:
        raise GeminiError(f"{name} is being worked on; wait until it is stored, then ask again")
    JobQueue(client).ring([name])


def _find(batches: ProjectClient, name: str) -> Batch:
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
            raise GeminiError(
                f"the results of {name} at Gemini are gone ({status} for {batch.result_file}); {STAYS}"
            )
    return batch
