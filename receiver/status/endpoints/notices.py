"""Notices that wait or are dead, and each one opened."""

from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.status.actions import NoticeChoice, change_notices, choose_dead, choose_stale
from receiver.status.auth import Visitor
from receiver.status.endpoints.acting import answer_action, read_result, refuse_action
from receiver.status.endpoints.common import Site, read_page_number
from receiver.status.guard import HOME
from receiver.status.notice_queries import (
    offer_for_notice,
    offer_for_notices,
    read_notice,
    read_notice_page,
)

LIST = f"{HOME}/notices"
PATH = f"{LIST}/{{target}}/{{message}}"
BULK: Mapping[str, NoticeChoice] = {"retry-dead": choose_dead, "purge-stale": choose_stale}


class NoticesEndpoints:
    """Below `/status/notices`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.page(LIST, self._show_list)
        yield self._site.page(PATH, self._show)
        yield self._site.action(f"{LIST}/{{action}}", self._change_many)
        yield self._site.action(f"{PATH}/{{action}}", self._change_one)

    async def _show_list(self, request: Request, visitor: Visitor) -> Response:
        state, number = request.query_params.get("state", ""), read_page_number(request)
        state = state if state in ("dead", "waiting") else ""
        hosts = self._site.settings.notices.labels
        page = await self._site.backend(request).ask(
            lambda client: read_notice_page(client, hosts, state, number)
        )
        return self._site.pages.render(
            request,
            "notices.html",
            here="notices",
            visitor=visitor,
            page=page,
            hosts=hosts,
            offers=offer_for_notices(page),
            result=read_result(request),
        )

    async def _show(self, request: Request, visitor: Visitor) -> Response:
        name, hosts = _name_of(request), self._site.settings.notices.labels
        now_ms, notice = await self._site.backend(request).ask(
            lambda client: read_notice(client, name)
        )
        result = read_result(request)
        if notice is None and result is None:
            text = "It was sent, removed, or never there."
            return self._site.guard.show_message(request, visitor, 404, "No such notice", text)
        return self._site.pages.render(
            request,
            "notice.html",
            here="notices",
            visitor=visitor,
            path=f"{LIST}/{name}",
            now_ms=now_ms,
            notice=notice,
            host=hosts.get(notice.target) if notice else None,
            offers=offer_for_notice(notice, hosts) if notice else [],
            result=result,
        )

    async def _change_many(
        self, request: Request, visitor: Visitor, _form: Mapping[str, str]
    ) -> Response:
        action = request.path_params["action"]
        if action not in BULK:
            return refuse_action(self._site, request, visitor)
        return await self._change(request, visitor, LIST, action, BULK[action])

    async def _change_one(
        self, request: Request, visitor: Visitor, _form: Mapping[str, str]
    ) -> Response:
        name, action = _name_of(request), request.path_params["action"]
        if action not in ("retry", "purge"):
            return refuse_action(self._site, request, visitor)
        return await self._change(request, visitor, f"{LIST}/{name}", action, lambda *_: [name])

    async def _change(
        self, request: Request, visitor: Visitor, back: str, action: str, choose: NoticeChoice
    ) -> Response:
        order = action.partition("-")[0]
        return await answer_action(
            self._site,
            request,
            visitor,
            back,
            lambda tools: change_notices(tools, order, choose),
            action=action,
        )


def _name_of(request: Request) -> str:
    """As `Outbox` knows it."""
    return f"{request.path_params['target']}/{request.path_params['message']}"
