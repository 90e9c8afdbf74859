"""The first tab: how things stand."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.status.auth import Visitor
from receiver.status.endpoints.common import Site, read_range
from receiver.status.guard import HOME


class OverviewEndpoints:
    """Below `/status` itself."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        for path in (HOME, f"{HOME}/"):
            yield self._site.page(path, self._show)

    async def _show(self, request: Request, visitor: Visitor) -> Response:
        backend = self._site.backend(request)
        return self._site.pages.render(
            request,
            "overview.html",
            here="overview",
            visitor=visitor,
            snapshot=await backend.snapshot(),
            history=await backend.history(read_range(request)),
        )
