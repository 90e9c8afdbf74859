"""Reconcile runs that can be made at any time; Redis and the storage are real."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from receiver.gemini.batches import Gemini
from receiver.gemini.project_client import ProjectClient
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import COUNTERS, RECONCILE, connect
from receiver.outputs.paths import manifest_name
from receiver.recovery.reconcile import MISSED, ReconcileReport, Reconciliation
from receiver.storage import Storage, open_storage
from tests.receiver.listing import Listing, serving


@dataclass(frozen=True)
class Stage:
    """Gemini's list, the inbox and the storage, and reconcile runs at any time."""

    listing: Listing
    client: "redis.Redis"
    storage: Storage
    batches: ProjectClient
    url: str  # of the list
    redis_url: str

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.client)

    def store(self, name: str) -> None:
        self.storage.create(manifest_name(name), b"{}")

    def reconcile(self, batches: ProjectClient | None = None) -> ReconcileReport:
        report = Reconciliation(self.client, batches or self.batches, self.storage, 900).run(
            force=True
        )
        assert report is not None
        return report

    def missed(self) -> int:
        return int(self.client.hget(COUNTERS, MISSED) or 0)

    def age_first_run(self) -> None:
        """As if the first run had been made three days ago."""
        self.client.hincrby(RECONCILE, "first", -3 * 86400 * 1000)


@contextmanager
def staging(redis_url: str, storage_url: str) -> Iterator[Stage]:
    """With an empty list, inbox and storage."""
    listing = Listing()
    with serving(listing) as url, Gemini(url, "right-key") as gemini, connect(redis_url) as client:
        storage = open_storage(storage_url)
        yield Stage(listing, client, storage, ProjectClient(gemini), url, redis_url)
