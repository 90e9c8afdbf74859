"""The last deliveries, and each one opened."""

from collections.abc import Iterable, Mapping
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.inbox.delivery_log import Verdict
from receiver.outputs.paths import manifest_name
from receiver.status.actions import take_in_again
from receiver.status.auth import Visitor
from receiver.status.delivery_queries import (
    DeliveryDetails,
    read_delivery_details,
    read_delivery_page,
)
from receiver.status.endpoints.acting import answer_action, read_result
from receiver.status.endpoints.common import Site, read_page_number
from receiver.status.guard import HOME
from receiver.status.offers import offer_to_accept

LIST = f"{HOME}/deliveries"
PATH = f"{LIST}/{{ref}}"


class DeliveriesEndpoints:
    """Below `/status/deliveries`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.page(LIST, self._show_list)
        yield self._site.page(PATH, self._show)
        yield self._site.action(f"{PATH}/again", self._take_in_again)

    async def _show_list(self, request: Request, visitor: Visitor) -> Response:
        verdict = request.query_params.get("verdict", "")
        project = request.query_params.get("project", "")
        verdict = verdict if verdict in get_args(Verdict) else ""
        number = read_page_number(request)
        page = await self._site.backend(request).ask(
            lambda client: read_delivery_page(client, verdict, project, number)
        )
        return self._site.pages.render(
            request, "deliveries.html", here="deliveries", visitor=visitor, page=page
        )

    async def _show(self, request: Request, visitor: Visitor) -> Response:
        ref = request.path_params["ref"]
        details = await self._site.backend(request).ask(
            lambda client: read_delivery_details(client, ref)
        )
        if details is None:
            text = "This delivery is not in the list any more: it holds about the last thousand."
            return self._site.guard.show_message(request, visitor, 404, "No such delivery", text)
        is_stored = await self._find_whether_stored(request, details)
        return self._site.pages.render(
            request,
            "delivery.html",
            here="deliveries",
            visitor=visitor,
            path=f"{LIST}/{ref}",
            details=details,
            is_stored=is_stored,
            offer=offer_to_accept(details.delivery, details.row, is_stored=is_stored),
            result=read_result(request),
        )

    async def _find_whether_stored(self, request: Request, details: DeliveryDetails) -> bool | None:
        """None where the storage does not say, or need not be asked."""
        batch, row = details.delivery.batch, details.row
        if not batch or (row is not None and row.entry.state != "buried"):
            return None
        backend = self._site.backend(request)
        found, _problem = await backend.ask_storage(
            lambda storage: storage.exists(manifest_name(batch))
        )
        return found

    async def _take_in_again(
        self, request: Request, visitor: Visitor, _form: Mapping[str, str]
    ) -> Response:
        ref = request.path_params["ref"]
        return await answer_action(
            self._site,
            request,
            visitor,
            f"{LIST}/{ref}",
            lambda tools: take_in_again(tools, ref),
            delivery=ref,
            action="again",
        )
