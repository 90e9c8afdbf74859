"""What the actions of a submission work with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from receiver.batch_names import BatchName, SubmissionName
from receiver.gemini.batches import Gemini
from receiver.inbox.ledger import Inbox
from receiver.settings.projects import Project
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.submissions.daily_budget import DailyBudget
from receiver.submissions.quotas import Quotas
from receiver.submissions.records import SubmissionRecords
from workers.job.context import open_scratch
from workers.submissions.part_results import Reading


@dataclass(frozen=True)
class AdvanceContext:
    """One submission, its storage, its project at Gemini, and the ledgers."""

    settings: Settings
    name: SubmissionName
    project: Project
    client: "redis.Redis"
    batches: Inbox  # the ledger of the batches
    storage: Storage
    gemini: Gemini
    records: SubmissionRecords
    quotas: Quotas
    budget: DailyBudget
    check: Callable[[], None]  # call before every write; raises what `LeaseKeeper.check` raises

    def batch_in_inbox(self, batch: str) -> str:
        """The name in the inbox of one of its batches (`batches/<id>`)."""
        return str(BatchName.read(batch, self.project.name))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for one action, removed at its end. Raises StorageError."""
        with open_scratch(self.settings, self.storage) as folder:
            yield folder

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """What reads the parts with a folder for one action. Raises StorageError."""
        with self.scratch() as folder:
            yield Reading(self.storage, folder, self.check)


@contextmanager
def open_context(
    settings: Settings,
    name: SubmissionName,
    client: "redis.Redis",
    batches: Inbox,
    check: Callable[[], None],
) -> Iterator[AdvanceContext]:
    """Gemini is asked with the key of the submission's project.

    Raises UnknownProjectError and StorageError.
    """
    project = settings.project(name.project)
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        storage = open_storage(settings.storage_url)
        yield AdvanceContext(
            settings,
            name,
            project,
            client,
            batches,
            storage,
            gemini,
            SubmissionRecords(storage, name.id),
            Quotas(client, storage, settings, name.project),
            DailyBudget(storage, name.project),
            check,
        )
