"""The login and the logout, and the files that every page needs."""

import logging
from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from receiver.status.auth import Visitor
from receiver.status.endpoints.common import MAX_FORM_BYTES, Site
from receiver.status.guard import HOME, choose_way_back, read_form

LOGIN = f"{HOME}/login"
log = logging.getLogger(__name__)


class SessionEndpoints:
    """What works without a token, and the logout."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield Route(f"{HOME}/static/{{name}}", self._serve_static, methods=["GET"])
        yield Route(LOGIN, self._leave_login, methods=["GET"])
        yield Route(LOGIN, self._log_in, methods=["POST"], max_body_size=MAX_FORM_BYTES)
        yield self._site.action(f"{HOME}/logout", self._log_out)

    async def _log_in(self, request: Request) -> Response:
        form, guard = await read_form(request), self._site.guard
        back = choose_way_back(form.get("back", ""))
        if refusal := guard.auth.log_in(request, form.get("token", "")):
            if not refusal.retry_after_s:  # a flood of wrong tokens must not flood the log
                log.warning("status.login_refused", extra={"status": refusal.status})
            return guard.ask_for_token(request, refusal, back)

        log.info("status.login")
        response = RedirectResponse(back, 303)
        guard.auth.open_session(request, response)
        return response

    async def _leave_login(self, _request: Request) -> Response:
        """Somebody opens the address that a failed login has left in the browser."""
        return RedirectResponse(HOME, 303)

    async def _log_out(
        self, _request: Request, _visitor: Visitor, _form: Mapping[str, str]
    ) -> Response:
        response = RedirectResponse(HOME, 303)
        self._site.guard.auth.close_session(response)
        return response

    async def _serve_static(self, request: Request) -> Response:
        return self._site.pages.serve_static(request.path_params["name"])
