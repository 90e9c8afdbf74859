"""Notices that wait or are dead."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.status.auth import Visitor
from receiver.status.endpoints.common import Site
from receiver.status.guard import HOME


class NoticesEndpoints:
    """Below `/status/notices`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.page(f"{HOME}/notices", self._show)

    async def _show(self, request: Request, visitor: Visitor) -> Response:
        backend = self._site.backend(request)
        return self._site.pages.render(
            request,
            "notices.html",
            here="notices",
            visitor=visitor,
            snapshot=await backend.snapshot(),
        )
