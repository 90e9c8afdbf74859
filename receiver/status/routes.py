"""The status page's addresses, below `/status`; there are none without STATUS_TOKEN."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, get_args
from urllib.parse import parse_qsl

import redis
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from receiver.batch_names import INBOX_NAME, BatchName
from receiver.errors import InboxUnavailableError
from receiver.inbox.entries import State
from receiver.settings.settings import Settings
from receiver.status.actions import SAYINGS, Deed
from receiver.status.auth import Authenticator, Refusal, Visitor
from receiver.status.backend import Backend
from receiver.status.pages import Pages
from receiver.status.view_models import page_path

HOME = "/status"
MAX_FORM_BYTES = 8 * 1024
MAX_FIELDS = 8
log = logging.getLogger(__name__)
Show = Callable[[Request, Visitor], Awaitable[Response]]


class StatusPage:
    """The page of one process. `client_of` gives the process's client of Redis, once it runs."""

    def __init__(self, settings: Settings, client_of: "Callable[[Request], redis.Redis]") -> None:
        self._settings, self._client_of = settings, client_of
        self._gate, self._pages = Authenticator(settings.status_token, settings.public_url), Pages()
        self._desk: Backend | None = None

    def routes(self) -> Sequence[Route]:
        """Everything below `/status`."""
        batch, named = f"{HOME}/batches/{{id}}", f"{HOME}/{{project}}/batches/{{id}}"
        posts = {f"{HOME}/login": self._log_in, f"{HOME}/logout": self._guarded(self._log_out)}
        posts |= {f"{path}/{{deed}}": self._guarded(self._act) for path in (batch, named)}
        pages = {
            HOME: self._overview,
            f"{HOME}/": self._overview,
            f"{HOME}/list": self._list,
            batch: self._batch,
            named: self._batch,
        }
        return [
            Route(f"{HOME}/static/{{name}}", self._static, methods=["GET"]),
            Route(f"{HOME}/login", self._leave_login, methods=["GET"]),
            *(Route(path, self._guarded(show), methods=["GET"]) for path, show in pages.items()),
            *(
                Route(path, do, methods=["POST"], max_body_size=MAX_FORM_BYTES)
                for path, do in posts.items()
            ),
        ]

    def _guarded(self, show: Show) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            visitor = self._gate.admit(request)
            if isinstance(visitor, Refusal):
                return self._ask_for_token(request, visitor)
            try:
                return await show(request, visitor)
            except InboxUnavailableError as error:
                return self._away(request, visitor, str(error))
            except Exception:
                log.exception("status.failed")
                text = "Something here is not as this program writes it. The log of the web process says more."
                return self._refuse(request, visitor, 500, "This page failed", text)

        return endpoint

    def _away(self, request: Request, visitor: Visitor, cause: str) -> Response:
        log.warning("status.unavailable", extra={"cause": cause})
        if request.method == "POST":
            text = f"{cause}. Whether it was done is not known: the page tells once Redis answers."
            return self._refuse(request, visitor, 503, "Redis is away", text)
        return self._pages.answer(request, "away.html", 503, visitor=visitor, cause=cause)

    async def _static(self, request: Request) -> Response:
        return self._pages.static(request.path_params["name"])

    def _ask_for_token(
        self, request: Request, refusal: Refusal, back: str | None = None
    ) -> Response:
        back = back or _page_of(request)
        answer = self._pages.answer(
            request, "login.html", refusal.status, refusal=refusal, back=back
        )
        answer.headers["www-authenticate"] = "Bearer"
        if refusal.retry_after_s:
            answer.headers["retry-after"] = str(refusal.retry_after_s)
        return answer

    async def _log_in(self, request: Request) -> Response:
        form = await _read_form(request)
        back = _checked_path(form.get("back", ""))
        if refusal := self._gate.log_in(request, form.get("token", "")):
            if not refusal.retry_after_s:  # a flood of guesses is none of lines
                log.warning("status.login_refused", extra={"status": refusal.status})
            return self._ask_for_token(request, refusal, back)
        log.info("status.login")
        response = RedirectResponse(back, 303)
        self._gate.open_session(request, response)
        return response

    async def _leave_login(self, _request: Request) -> Response:
        """Somebody opens the address that a failed login has left in the browser."""
        return RedirectResponse(HOME, 303)

    async def _log_out(self, request: Request, visitor: Visitor) -> Response:
        if not self._gate.may_act(request, visitor, await _read_form(request)):
            return self._forbid(request, visitor)
        response = RedirectResponse(HOME, 303)
        self._gate.close_session(response)
        return response

    def _forbid(self, request: Request, visitor: Visitor) -> Response:
        text = "The form did not come from this page, or its session is over. Nothing was done: open the page again."
        return self._refuse(request, visitor, 403, "Not done", text)

    def _refuse(
        self, request: Request, visitor: Visitor, status: int, title: str, text: str
    ) -> Response:
        told = {"title": title, "text": text, "back": _page_of(request)}
        return self._pages.answer(request, "refused.html", status, visitor=visitor, told=told)

    def _desk_of(self, request: Request) -> Backend:
        if self._desk is None:
            self._desk = Backend(self._settings, self._client_of(request))
        return self._desk

    async def _overview(self, request: Request, visitor: Visitor) -> Response:
        reading = await self._desk_of(request).reading()
        return self._pages.answer(
            request, "overview.html", here="home", visitor=visitor, reading=reading
        )

    async def _list(self, request: Request, visitor: Visitor) -> Response:
        asked: Any = request.query_params.get("state")
        state: State = asked if asked in get_args(State) else "done"
        listing = await self._desk_of(request).listing(
            state, _read_number(request.query_params.get("page", ""))
        )
        return self._pages.answer(
            request, "list.html", here=state, visitor=visitor, listing=listing
        )

    async def _batch(self, request: Request, visitor: Visitor) -> Response:
        name = _name_of(request)
        if name is None:
            return self._refuse(
                request, visitor, 404, "Not a batch", "No batch can have this name."
            )
        now_ms, row = await self._desk_of(request).row(name)
        page = _read_number(request.query_params.get("page", ""))
        record, trouble = await self._desk_of(request).record(name, page)
        is_known = (
            row is not None or record is None or record.manifest is not None or record.trouble
        )
        return self._pages.answer(
            request,
            "batch.html",
            200 if is_known else 404,
            visitor=visitor,
            name=name,
            path=page_path(name),
            now_ms=now_ms,
            row=row,
            record=record,
            trouble=trouble,
            saying=SAYINGS.get(request.query_params.get("said", "")),
        )

    async def _act(self, request: Request, visitor: Visitor) -> Response:
        name, asked = _name_of(request), request.path_params["deed"]
        if name is None or asked not in get_args(Deed):
            return self._refuse(request, visitor, 404, "Not done", "There is no such button.")
        if not self._gate.may_act(request, visitor, await _read_form(request)):
            return self._forbid(request, visitor)
        said, trouble = await self._desk_of(request).do(asked, name)
        log.info("status.acted", extra={"batch": name, "deed": asked, "outcome": said or trouble})
        if trouble:
            return self._refuse(request, visitor, 502, "Not done", trouble)
        return RedirectResponse(f"{page_path(name)}?said={said}", 303)


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a small form; what is none has no fields."""
    try:
        return dict(
            parse_qsl((await request.body()).decode(errors="replace"), max_num_fields=MAX_FIELDS)
        )
    except ValueError:
        return {}


def _read_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < MAX_FIELDS else 1


def _name_of(request: Request) -> str | None:
    """The batch that the address names, as the inbox calls it; None where it is none."""
    name = str(BatchName(request.path_params.get("project", ""), request.path_params["id"]))
    return name if INBOX_NAME.fullmatch(name) else None


def _page_of(request: Request) -> str:
    """The page that an address belongs to, be it that of a button."""
    name = _name_of(request) if "id" in request.path_params else None
    return (page_path(name) if name else None) or HOME


def _checked_path(text: str) -> str:
    """Where to go after the login: one of our own pages."""
    return (
        text
        if INBOX_NAME.fullmatch(text.removeprefix(f"{HOME}/")) and text.startswith(f"{HOME}/")
        else HOME
    )
