"""What waits or runs at Gemini."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.notices.running_batches import MAX_NOTED
from receiver.status.auth import Visitor
from receiver.status.endpoints.common import Site
from receiver.status.guard import HOME


class RunningEndpoints:
    """At `/status/at-gemini`: all of what the overview shows the oldest of."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.page(f"{HOME}/at-gemini", self._show)

    async def _show(self, request: Request, visitor: Visitor) -> Response:
        snapshot = await self._site.backend(request).snapshot()
        seen = {one.project for one in snapshot.overview.running}
        return self._site.pages.render(
            request,
            "at_gemini.html",
            here="batches",
            visitor=visitor,
            snapshot=snapshot,
            most=MAX_NOTED,
            unseen=[one for one in self._site.settings.projects if one not in seen],
        )
