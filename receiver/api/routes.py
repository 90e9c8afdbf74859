"""The API's routes, below `/api`; there are none without API_TOKEN."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus

import redis
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver.api.access import Access
from receiver.api.endpoints import Endpoints
from receiver.api.operations import OPERATIONS, ROOT
from receiver.api.problems import CRASHED, ProblemError, problem_of
from receiver.api.responses import HEADERS
from receiver.settings.settings import Settings

Handler = Callable[[Request], Awaitable[Response]]
log = logging.getLogger(__name__)


def api_routes(
    settings: Settings, client_of: "Callable[[Request], redis.Redis]"
) -> Iterator[Route]:
    """Everything below `/api`. `client_of` gives the process's client of Redis, once it runs."""
    access, handlers = Access(settings.api_token), Endpoints(settings, client_of).handlers
    for path in dict.fromkeys(one.path for one in OPERATIONS):
        methods = {str(one.method): handlers[one.name] for one in OPERATIONS if one.path == path}
        # A key may hold slashes.
        yield Route(path.replace("{key}", "{key:path}"), _Resource(access, methods))
    for path in (ROOT, f"{ROOT}/{{rest:path}}"):
        yield Route(path, _Resource(access, {}))


class _Resource:
    """One path: lets programs with the token alone reach a handler, and answers all that fails."""

    def __init__(self, access: Access, handlers: Mapping[str, Handler]) -> None:
        self._access, self._handlers = access, handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._access.require(request)
            response = await self._choose(request.method)(request)
        except Exception as error:  # noqa: BLE001 - each is answered, and those of ours are logged
            response = _report(error)
        response.headers.update(HEADERS)
        await response(scope, receive, send)

    def _choose(self, method: str) -> Handler:
        """Raises ProblemError."""
        handler = self._handlers.get("GET" if method == "HEAD" else method)
        if handler is not None:
            return handler
        if not self._handlers:
            raise ProblemError(404, f"there is no such address: see {ROOT}/openapi.json")
        allowed = ", ".join(self._handlers)
        raise ProblemError(405, f"expected {allowed}", headers={"allow": allowed})


def _report(error: Exception) -> Response:
    """Log what the sender can't have caused, and a wrong token."""
    problem = problem_of(error)
    status, detail = problem.problem.status, problem.problem.detail
    if detail == CRASHED:
        log.error("api.crashed", exc_info=error)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("api.failed", extra={"status": status, "cause": detail})
    elif status == HTTPStatus.UNAUTHORIZED:  # but not 429: a flood must not flood the log
        log.warning("api.refused", extra={"cause": detail})
    return problem.response()
