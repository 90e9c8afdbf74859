"""Asks Redis, the storage and Gemini for the page: beside the event loop, with deadlines."""

from collections.abc import Callable
from typing import TypeVar

import redis

from receiver.batch_names import SubmissionName
from receiver.errors import (
    InboxUnavailableError,
    ManifestError,
    ReceiverError,
    StorageError,
    SubmissionError,
)
from receiver.settings.locations import describe_redis, describe_storage
from receiver.settings.settings import Settings
from receiver.status.actions import Done, Tools
from receiver.status.batch_details import BatchDetails, Listing, read_batch_details
from receiver.status.batch_search import BatchSearch
from receiver.status.finding import BatchList, Elsewhere, list_batches, look_elsewhere
from receiver.status.history_queries import History, read_history
from receiver.status.queries import StatusSnapshot, read_batch, read_snapshot
from receiver.status.submission_queries import (
    SubmissionDetails,
    SubmissionPage,
    read_submission_details,
    read_submission_page,
)
from receiver.status.threads import Shared, Threads
from receiver.status.view_models import BatchRow
from receiver.storage import Storage, open_storage
from receiver.telemetry.metrics.history import RANGES, Range

AT_ONCE = 2  # of each kind: the process's client has five connections, and deliveries come first
REDIS_DEADLINE_S = 5.0
STORAGE_DEADLINE_S = 6.0
ACTION_DEADLINE_S = 20.0  # below the 30 s that an answer may take
SLOW_REDIS = f"Redis did not answer within {REDIS_DEADLINE_S:.0f} seconds"
SLOW_STORAGE = f"the storage did not answer within {STORAGE_DEADLINE_S:.0f} seconds"
SLOW_ACTION = (
    f"it took longer than {ACTION_DEADLINE_S:.0f} seconds and may still happen: see the timeline"
)
T = TypeVar("T")


class Backend:
    """Answers what the page of one process asks.

    Every call raises InboxUnavailableError when Redis can't be asked in time.
    """

    def __init__(self, settings: Settings, client: "redis.Redis") -> None:
        self._settings, self._client = settings, client
        self._redis_threads = Threads(AT_ONCE, REDIS_DEADLINE_S)
        self._storage_threads = Threads(AT_ONCE, STORAGE_DEADLINE_S)
        self._action_threads = Threads(AT_ONCE, ACTION_DEADLINE_S)
        self._storage: Storage | None = None
        self._snapshot = Shared(self._read_snapshot)
        self._histories = {name: self._share_history(one) for name, one in RANGES.items()}

        self.storage_location = describe_storage(settings.storage_url)
        self.redis_location = describe_redis(settings.redis_url)

    async def snapshot(self) -> StatusSnapshot:
        """How things stand; at most a few seconds old."""
        return await self._snapshot.get()

    async def _read_snapshot(self) -> StatusSnapshot:
        projects = list(self._settings.projects)
        return await self._ask_redis(lambda: read_snapshot(self._client, projects))

    async def batches(self, search: BatchSearch) -> BatchList:
        """One page of the batches that somebody looks for."""
        projects = list(self._settings.projects)
        return await self._ask_redis(lambda: list_batches(self._client, search, projects))

    async def elsewhere(self, search: BatchSearch) -> tuple[Elsewhere | None, str]:
        """What the storage has of what is looked for, or in words why nobody can say."""
        projects = list(self._settings.projects)
        return await self._ask_storage(
            lambda: look_elsewhere(self._client, self._open_storage(), search, projects)
        )

    async def history(self, span: Range) -> History:
        """What was counted in this range of time; at most a few seconds old."""
        return await self._histories[span.name].get()

    def _share_history(self, span: Range) -> Shared[History]:
        async def read() -> History:
            return await self._ask_redis(lambda: read_history(self._client, span))

        return Shared(read)

    async def batch(self, name: str) -> tuple[int, BatchRow | None]:
        """Redis' time in milliseconds, and what the inbox knows of a batch."""
        return await self._ask_redis(lambda: read_batch(self._client, name))

    async def ask(self, question: "Callable[[redis.Redis], T]") -> T:
        """What Redis says."""
        return await self._ask_redis(lambda: question(self._client))

    async def ask_storage(self, question: Callable[[Storage], T]) -> tuple[T | None, str]:
        """What the storage says, or in words why it does not."""
        return await self._ask_storage(lambda: question(self._open_storage()))

    async def _ask_redis(self, call: Callable[[], T]) -> T:
        try:
            return await self._redis_threads.run(call)
        except TimeoutError as error:
            raise InboxUnavailableError(SLOW_REDIS) from error

    async def submissions(self, page: int) -> tuple[SubmissionPage | None, str]:
        """One page of the submissions, or in words why nobody can say."""
        return await self._ask_storage(
            lambda: read_submission_page(self._client, self._open_storage(), page)
        )

    async def submission(self, name: SubmissionName) -> tuple[SubmissionDetails | None, str]:
        """One submission, or in words why nobody can say; neither where there is none."""
        return await self._ask_storage(
            lambda: read_submission_details(self._client, self._open_storage(), name)
        )

    async def details(self, name: str, listing: Listing) -> tuple[BatchDetails | None, str]:
        """What is stored of a batch, or in words why nobody can say."""
        return await self.read(lambda storage: read_batch_details(storage, name, listing))

    async def read(self, read: Callable[[Storage], T]) -> tuple[T | None, str]:
        """What a call finds in the storage, or in words why nobody can say."""
        return await self._ask_storage(lambda: read(self._open_storage()))

    async def _ask_storage(self, call: Callable[[], T]) -> tuple[T | None, str]:
        """What the call gives, or in words why the storage does not."""
        try:
            return await self._storage_threads.run(call), ""
        except (StorageError, SubmissionError, ManifestError) as error:
            return None, str(error)
        except TimeoutError:
            return None, SLOW_STORAGE

    async def act(self, action: Callable[[Tools], Done]) -> tuple[Done | None, str]:
        """What came of it, or in words what went wrong."""
        tools = Tools(self._settings, self._client, self._open_storage)
        try:
            done = await self._action_threads.run(lambda: action(tools))
        except InboxUnavailableError:
            raise
        except ReceiverError as error:
            return None, str(error)
        except TimeoutError:
            return None, SLOW_ACTION
        self._snapshot.forget()
        return done, ""

    def _open_storage(self) -> Storage:
        self._storage = self._storage or open_storage(self._settings.storage_url)
        return self._storage
