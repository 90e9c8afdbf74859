"""The status page, below `/status`; there is none without STATUS_TOKEN."""

from collections.abc import Callable, Iterator, Mapping

import redis
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from receiver.settings.settings import Settings
from receiver.status.auth import Visitor
from receiver.status.endpoints.answers import AnswerEndpoints
from receiver.status.endpoints.batches import BatchEndpoints
from receiver.status.endpoints.buried import BuriedEndpoints
from receiver.status.endpoints.common import Site
from receiver.status.endpoints.deliveries import DeliveriesEndpoints
from receiver.status.endpoints.notices import NoticesEndpoints
from receiver.status.endpoints.overview import OverviewEndpoints
from receiver.status.endpoints.projects import ProjectEndpoints
from receiver.status.endpoints.running import RunningEndpoints
from receiver.status.endpoints.session import SessionEndpoints
from receiver.status.endpoints.submissions import SubmissionEndpoints
from receiver.status.endpoints.system import SystemEndpoints
from receiver.status.guard import HOME

TABS = (
    OverviewEndpoints,
    BatchEndpoints,
    AnswerEndpoints,
    RunningEndpoints,
    BuriedEndpoints,
    SubmissionEndpoints,
    DeliveriesEndpoints,
    NoticesEndpoints,
    SystemEndpoints,
    ProjectEndpoints,
)
STATIC = f"{HOME}/static/"
MESSAGES: Mapping[int, tuple[str, str]] = {
    404: ("No such page", "Nothing has this address: the link may be old, or mistyped."),
    405: ("Not done", "This address is a button's. Press it on its page."),
}


class StatusPage:
    """Everything below `/status`. `client_of` gives the process's client of Redis, once it runs."""

    def __init__(self, settings: Settings, client_of: "Callable[[Request], redis.Redis]") -> None:
        self._site = Site(settings, client_of)

    def routes(self) -> Iterator[Route]:
        for endpoints in (SessionEndpoints, *TABS):
            yield from endpoints(self._site).routes()

    async def report_error(self, request: Request, error: Exception) -> Response:
        """What an address without a page gets; below `/status`, a visitor gets a way back."""
        if not isinstance(error, HTTPException):
            raise error
        path, status = request.scope["path"], error.status_code
        if status in MESSAGES and path.startswith(f"{HOME}/") and not path.startswith(STATIC):
            return await self._show_error(request, error)
        return PlainTextResponse(error.detail, error.status_code, error.headers)

    async def _show_error(self, request: Request, error: HTTPException) -> Response:
        async def show(request: Request, visitor: Visitor) -> Response:
            title, text = MESSAGES[error.status_code]
            answer = self._site.guard.show_message(request, visitor, error.status_code, title, text)
            answer.headers.update(error.headers or {})
            return answer

        return await self._site.protect(show)(request)
