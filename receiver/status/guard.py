"""The frame of every page: who may see it, and what is answered when it can't be shown."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from receiver.errors import InboxUnavailableError
from receiver.settings.settings import Settings
from receiver.status.auth import Authenticator, Refusal, Visitor
from receiver.status.pages import Pages, mark_trouble

HOME = "/status"
MAX_FIELDS = 8
# Paths in ASCII below the home, perhaps with a query; a browser resolves dots to what is elsewhere,
# also where they are written as %2e.
OWN_ADDRESS = re.compile(
    rf"{HOME}(/(?!/)(?!(\.|%2[Ee]){{1,2}}(/|$|[?#]))[!-.0-Z^-~_]*)*(\?[!-Z^-~]*)?"
)
Handler = Callable[[Request, Visitor], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]
log = logging.getLogger(__name__)


class Guard:
    """Lets visitors alone reach a handler, and answers for whatever goes wrong in it."""

    def __init__(self, settings: Settings, pages: Pages) -> None:
        self.auth = Authenticator(settings.status_token, settings.public_url)
        self._pages = pages

    def protect(self, handler: Handler) -> Endpoint:
        """The handler for visitors alone."""

        async def endpoint(request: Request) -> Response:
            visitor = self.auth.authenticate(request)
            if isinstance(visitor, Refusal):
                return self.ask_for_token(request, visitor, find_way_back(request))
            try:
                return await handler(request, visitor)
            except InboxUnavailableError as error:
                mark_trouble(request)
                return self._report_redis_away(request, visitor, str(error))
            except Exception:
                log.exception("status.failed")
                mark_trouble(request)
                text = (
                    "Something in Redis or the storage is not as this program writes it. The log"
                    " of the web process says more."
                )
                return self.show_message(request, visitor, 500, "This page failed", text)

        return endpoint

    def protect_action(self, handler: "Action") -> Endpoint:
        """The handler for forms of our own page, and for programs with the token."""

        async def act(request: Request, visitor: Visitor) -> Response:
            form = await read_form(request)
            if not self.auth.may_act(request, visitor, form):
                text = (
                    "The form did not come from this page, or its session is over. Nothing was"
                    " done: open the page again."
                )
                return self.show_message(request, visitor, 403, "Not done", text)
            return await handler(request, visitor, form)

        return self.protect(act)

    def ask_for_token(self, request: Request, refusal: Refusal, back: str) -> Response:
        """The login, which leads to the address `back`."""
        answer = self._pages.render(
            request, "login.html", refusal.status, refusal=refusal, back=back
        )
        answer.headers["www-authenticate"] = "Bearer"
        if refusal.retry_after_s:
            answer.headers["retry-after"] = str(refusal.retry_after_s)
        return answer

    def show_message(
        self, request: Request, visitor: Visitor, status: int, title: str, text: str
    ) -> Response:
        """A page that says what happened, with a way back."""
        is_there = status != HTTPStatus.NOT_FOUND
        back = find_way_back(request) if is_there else HOME
        message = {"title": title, "text": text, "back": back}
        return self._pages.render(request, "message.html", status, visitor=visitor, message=message)

    def report_storage_away(
        self, request: Request, visitor: Visitor, title: str, cause: str
    ) -> Response:
        """What can't be shown without the storage."""
        log.warning("status.storage_unavailable", extra={"cause": cause})
        return self.show_message(request, visitor, 503, title, cause)

    def _report_redis_away(self, request: Request, visitor: Visitor, cause: str) -> Response:
        log.warning("status.unavailable", extra={"cause": cause})
        if request.method == "POST":
            text = f"{cause}. It may have been done: see the page once Redis answers."
            return self.show_message(request, visitor, 503, "Redis is away", text)
        return self._pages.render(request, "redis_away.html", 503, visitor=visitor, cause=cause)


Action = Callable[[Request, Visitor, Mapping[str, str]], Awaitable[Response]]


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small form; none for a body that is no form."""
    body = (await request.body()).decode(errors="replace")
    try:
        return dict(parse_qsl(body, max_num_fields=MAX_FIELDS))
    except ValueError:
        return {}


def find_way_back(request: Request) -> str:
    """The address of the page that was asked for; of a button, the page that it is on."""
    raw: bytes = request.scope["raw_path"]
    path = raw.decode("ascii", "replace")
    if request.method == "POST":
        return choose_way_back(path.rpartition("/")[0])
    query = request.url.query
    return choose_way_back(f"{path}?{query}" if query else path)


def choose_way_back(address: str) -> str:
    """Where to go after the login: one of our own pages, whatever the form says."""
    return address if OWN_ADDRESS.fullmatch(address) else HOME
