"""Answers the operations of one process: beside the event loop, few at once, with deadlines."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from importlib.metadata import version
from typing import TypeVar

import redis
from starlette.requests import Request
from starlette.responses import Response

from receiver.api import reading
from receiver.api.openapi import describe_api
from receiver.api.operations import Name
from receiver.api.parameters import read_parameters
from receiver.api.problems import ProblemError
from receiver.api.queries import (
    BatchQuery,
    DeliveryQuery,
    NoQuery,
    OfProject,
    SubmissionQuery,
    choose_project,
)
from receiver.api.responses import MEDIA_TYPE, respond, respond_with_page
from receiver.api.submitting import Submitting
from receiver.batch_names import BATCH_ID, SUBMISSION_ID, BatchName
from receiver.settings.settings import Settings
from receiver.status.threads import Threads
from receiver.storage import Storage, open_storage

# At once: the process's client has five connections, and deliveries come first.
REDIS_THREADS, STORAGE_THREADS = 1, 2
REDIS_DEADLINE_S, STORAGE_DEADLINE_S = 5.0, 20.0
SLOW = "{what} did not answer within {seconds:.0f} seconds"
Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


class Endpoints:
    """Every handler raises ProblemError, ReceiverError and OSError.

    `client_of` gives the process's client of Redis, once it runs.
    """

    def __init__(self, settings: Settings, client_of: "Callable[[Request], redis.Redis]") -> None:
        self._settings, self._client_of = settings, client_of
        self._redis_threads = Threads(REDIS_THREADS, REDIS_DEADLINE_S)
        self._storage_threads = Threads(STORAGE_THREADS, STORAGE_DEADLINE_S)
        self._submitting = Submitting(settings)

    @property
    def handlers(self) -> Mapping[Name, Handler]:
        """By the names of the operations."""
        return {
            "batches": self._list_batches,
            "batch": self._show_batch,
            "result": self._show_result,
            "submissions": self._list_submissions,
            "submission": self._show_submission,
            "submit": self._submitting.post,
            "deliveries": self._list_deliveries,
            "description": self._describe,
        }

    async def _list_batches(self, request: Request) -> Response:
        query = read_parameters(BatchQuery, request.query_params.multi_items())
        wanted, client = query.filter(), self._client_of(request)
        page = await self._ask_redis(lambda: reading.list_batches(client, query, wanted))
        return respond_with_page(request, page.rows, page.cursor)

    async def _show_batch(self, request: Request) -> Response:
        name, client = self._read_batch(request), self._client_of(request)
        return respond(await self._ask_redis(lambda: reading.show_batch(client, name)))

    async def _show_result(self, request: Request) -> Response:
        name, key = self._read_batch(request), request.path_params["key"]
        found = await self._ask_storage(lambda: reading.read_result(self._storage, name, key))
        return Response(found, media_type=MEDIA_TYPE)

    async def _list_submissions(self, request: Request) -> Response:
        query = read_parameters(SubmissionQuery, request.query_params.multi_items())
        client = self._client_of(request)
        page = await self._ask_storage(
            lambda: reading.list_submissions(client, self._storage, query)
        )
        return respond_with_page(request, page.rows, page.cursor)

    async def _show_submission(self, request: Request) -> Response:
        read_parameters(NoQuery, request.query_params.multi_items())
        submission_id, client = request.path_params["id"], self._client_of(request)
        if not SUBMISSION_ID.fullmatch(submission_id):
            raise ProblemError(404, "a submission's id has 20 hex digits")
        return respond(
            await self._ask_storage(
                lambda: reading.show_submission(
                    client, self._storage, self._settings, submission_id
                )
            )
        )

    async def _list_deliveries(self, request: Request) -> Response:
        query = read_parameters(DeliveryQuery, request.query_params.multi_items())
        client = self._client_of(request)
        return respond(await self._ask_redis(lambda: reading.list_deliveries(client, query)))

    async def _describe(self, request: Request) -> Response:
        read_parameters(NoQuery, request.query_params.multi_items())
        return respond(describe_api(version("gemini-batch-receiver")))

    def _read_batch(self, request: Request) -> BatchName:
        """The batch in the address. Raises ProblemError where it can't be one."""
        query = read_parameters(OfProject, request.query_params.multi_items())
        batch_id = request.path_params["id"]
        if not BATCH_ID.fullmatch(batch_id):
            raise ProblemError(404, "no batch can have this id")
        return BatchName(choose_project(self._settings, query.project).name, batch_id)

    @cached_property
    def _storage(self) -> Storage:
        return open_storage(self._settings.storage_url)

    async def _ask_redis(self, call: Callable[[], T]) -> T:
        return await _ask(self._redis_threads, call, "Redis", REDIS_DEADLINE_S)

    async def _ask_storage(self, call: Callable[[], T]) -> T:
        return await _ask(self._storage_threads, call, "the storage", STORAGE_DEADLINE_S)


async def _ask(threads: Threads, call: Callable[[], T], what: str, seconds: float) -> T:
    try:
        return await threads.run(call)
    except TimeoutError as error:
        raise ProblemError(503, SLOW.format(what=what, seconds=seconds)) from error
