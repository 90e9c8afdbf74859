"""What the handlers of all tabs share."""

from collections.abc import Callable

import redis
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.batch_names import INBOX_NAME, BatchName, SubmissionName
from receiver.errors import InboxUnavailableError
from receiver.settings.settings import Settings
from receiver.status.auth import Visitor
from receiver.status.backend import Backend
from receiver.status.guard import Action, Endpoint, Guard, Handler
from receiver.status.pages import Pages, mark_trouble
from receiver.telemetry.metrics.history import DAY, RANGES, Range

MAX_FORM_BYTES = 8 * 1024
MAX_DIGITS = 9  # of the number of a page, or of a line


class Site:
    """What every handler works with. `client_of` gives the process's client, once it runs."""

    def __init__(self, settings: Settings, client_of: "Callable[[Request], redis.Redis]") -> None:
        self.settings, self._client_of = settings, client_of
        self.pages = Pages()
        self.guard = Guard(settings, self.pages)
        self._backend: Backend | None = None

    def backend(self, request: Request) -> Backend:
        """One for the process."""
        if self._backend is None:
            self._backend = Backend(self.settings, self._client_of(request))
        return self._backend

    def page(self, path: str, show: Handler) -> Route:
        """Where visitors alone get a page."""
        return Route(path, self.protect(show), methods=["GET"])

    def action(self, path: str, act: Action) -> Route:
        """Where a button leads that is on the page one level above."""
        endpoint = self.guard.protect_action(act)
        return Route(path, endpoint, methods=["POST"], max_body_size=MAX_FORM_BYTES)

    def protect(self, show: Handler) -> Endpoint:
        """The handler for visitors alone, whose page shows by its icon whether all is well."""

        async def show_with_icon(request: Request, visitor: Visitor) -> Response:
            try:
                if (await self.backend(request).snapshot()).is_trouble:
                    mark_trouble(request)
            except InboxUnavailableError:  # the page itself says so, unless it does without Redis
                mark_trouble(request)
            return await show(request, visitor)

        return self.guard.protect(show_with_icon)


def read_page_number(request: Request) -> int:
    """From 1; of an address that has none, the first."""
    return read_count(request, "page", 1)


def read_count(request: Request, name: str, default: int = 0) -> int:
    """A number in the query; the default where there is none, or none that counts."""
    text = request.query_params.get(name, "")
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    return int(text) if is_number else default


def read_range(request: Request) -> Range:
    """How far the charts look back; of an address that does not say, a day."""
    return RANGES.get(request.query_params.get("range", ""), DAY)


def read_batch_name(request: Request) -> str | None:
    """The name in the inbox of the batch in the address; None where it can't be one."""
    name = str(BatchName(request.path_params.get("project", ""), request.path_params["id"]))
    return name if INBOX_NAME.fullmatch(name) else None


def read_submission_name(request: Request) -> SubmissionName | None:
    """The submission in the address; None where it can't be one."""
    params = request.path_params
    return SubmissionName.read(str(SubmissionName(params.get("project", ""), params["submission"])))
