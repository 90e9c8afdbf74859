"""Asks Redis, the storage and Gemini for the page: beside the event loop, few at once, and never for long."""

import redis

from receiver.errors import InboxUnavailableError, ReceiverError, StorageError
from receiver.inbox.entries import State
from receiver.settings.settings import Settings
from receiver.status.actions import Deed, do
from receiver.status.batch_details import BatchDetails, read_record
from receiver.status.queries import BatchPage, StatusSnapshot, read_all, read_list, read_row
from receiver.status.threads import Shared, Threads
from receiver.status.view_models import BatchRow
from receiver.storage import Storage, open_storage

AT_ONCE = 2  # of each kind: the process's client has five connections, and deliveries come first
REDIS_DEADLINE_S = 5.0
STORAGE_DEADLINE_S = 6.0
DEED_DEADLINE_S = 20.0  # below the 30 s that an answer may take
SLOW_REDIS = f"Redis did not answer within {REDIS_DEADLINE_S:.0f} seconds"
SLOW_STORAGE = f"the storage did not answer within {STORAGE_DEADLINE_S:.0f} seconds"
SLOW_DEED = f"it took longer than {DEED_DEADLINE_S:.0f} seconds, and may still happen: the timeline will tell"


class Backend:
    """What is asked for one process. Every call raises InboxUnavailableError when Redis can't be asked in time."""

    def __init__(self, settings: Settings, client: "redis.Redis") -> None:
        self._settings, self._client = settings, client
        self._redis, self._storages = (
            Threads(AT_ONCE, REDIS_DEADLINE_S),
            Threads(AT_ONCE, STORAGE_DEADLINE_S),
        )
        self._deeds = Threads(AT_ONCE, DEED_DEADLINE_S)
        self._storage: Storage | None = None
        self._readings = Shared(self._read_all)

    async def _read_all(self) -> StatusSnapshot:
        projects, hosts = list(self._settings.projects), self._settings.notices.hosts
        try:
            return await self._redis.run(lambda: read_all(self._client, projects, hosts))
        except TimeoutError as error:
            raise InboxUnavailableError(SLOW_REDIS) from error

    async def reading(self) -> StatusSnapshot:
        """How things stand, as one of the last moments saw it."""
        return await self._readings.get()

    async def listing(self, state: State, page: int) -> BatchPage:
        """One page of the batches in a state."""
        try:
            return await self._redis.run(lambda: read_list(self._client, state, page))
        except TimeoutError as error:
            raise InboxUnavailableError(SLOW_REDIS) from error

    async def row(self, name: str) -> tuple[int, BatchRow | None]:
        """Redis' time, and what the inbox knows of a batch."""
        try:
            return await self._redis.run(lambda: read_row(self._client, name))
        except TimeoutError as error:
            raise InboxUnavailableError(SLOW_REDIS) from error

    async def record(self, name: str, page: int) -> tuple[BatchDetails | None, str]:
        """What is stored of a batch, or in words why nobody can say."""
        try:
            return await self._storages.run(
                lambda: read_record(self._open_storage(), name, page)
            ), ""
        except StorageError as error:
            return None, str(error)
        except TimeoutError:
            return None, SLOW_STORAGE

    async def do(self, deed: Deed, name: str) -> tuple[str, str]:
        """A key of SAYINGS, or in words what went wrong."""
        try:
            said = await self._deeds.run(
                lambda: do(deed, self._settings, self._client, self._open_storage, name)
            )
        except InboxUnavailableError:
            raise
        except ReceiverError as error:
            return "", str(error)
        except TimeoutError:
            return "", SLOW_DEED
        self._readings.forget()
        return said, ""

    def _open_storage(self) -> Storage:
        self._storage = self._storage or open_storage(self._settings.storage_url)
        return self._storage
