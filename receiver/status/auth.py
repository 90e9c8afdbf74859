"""Who may see the page and press its buttons: a browser that logged in, or a program that shows the token."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from receiver.settings.web_urls import origin_of
from receiver.status.rate_limit import RateLimit
from receiver.status.sessions import LASTS_S, Sessions

COOKIE = "gbr_status"
SECURE_COOKIE = (
    f"__Host-{COOKIE}"  # a browser takes it from this very host over TLS, and from nobody else
)
NONCE_BYTES = 16
BEARER = "Bearer "


@dataclass(frozen=True)
class Visitor:
    """Somebody who may come in."""

    session: str  # the cookie's value; empty for a program that shows the token itself
    form_token: str


@dataclass(frozen=True)
class Refusal:
    """Somebody who may not."""

    status: int  # 401, or 429 while too many wrong tokens come
    text: str  # empty where nothing was tried
    retry_after_s: int = 0


class Authenticator:
    """Judges requests by their headers alone. Nothing that a proxy adds is listened to."""

    def __init__(self, token: str, public_url: str | None) -> None:
        self._sessions, self._guesses = Sessions(token), RateLimit(time.monotonic())
        self._public_url = public_url

    def admit(self, request: Request) -> Visitor | Refusal:
        """Who this is."""
        shown = request.headers.get("authorization", "")
        if shown:
            refusal = self._judge(shown.removeprefix(BEARER) if shown.startswith(BEARER) else "")
            return refusal or Visitor("", "")
        for name in (SECURE_COOKIE, COOKIE):
            session = request.cookies.get(name, "")
            if session and self._sessions.is_open(session, time.time()):
                return Visitor(session, self._sessions.form_token(session))
        return Refusal(401, "")

    def log_in(self, request: Request, shown: str) -> Refusal | None:
        """Whether a form brought the token, and came from our own page."""
        if not self._is_own_page(request):
            return Refusal(403, "The form did not come from this page: log in here.")
        return self._judge(shown)

    def _judge(self, shown: str) -> Refusal | None:
        now_s = time.monotonic()
        if wait_s := self._guesses.wait_s(now_s):
            text = "Too many wrong tokens were tried. Wait a moment, then try again."
            return Refusal(429, text, int(wait_s) + 1)
        if self._sessions.is_token(shown):
            return None
        self._guesses.miss(now_s)
        return Refusal(401, "That is not the token.")

    def may_act(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> bool:
        """Whether a POST is meant: a browser may send a cookie along for any page, only ours knows the form's token."""
        if not visitor.session:
            return True
        return self._is_own_page(request) and self._sessions.is_form_token(
            visitor.session, form.get("form", "")
        )

    def open_session(self, request: Request, response: Response) -> None:
        """Give the browser a cookie."""
        is_secure = self._is_secure(request)
        response.set_cookie(
            SECURE_COOKIE if is_secure else COOKIE,
            self._sessions.begin(time.time(), secrets.token_urlsafe(NONCE_BYTES)),
            max_age=LASTS_S,
            path="/",
            secure=is_secure,
            httponly=True,
            samesite="strict",
        )

    def close_session(self, response: Response) -> None:
        """Take the cookie away from the browser."""
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        response.delete_cookie(
            SECURE_COOKIE, path="/", secure=True, httponly=True, samesite="strict"
        )

    def _is_own_page(self, request: Request) -> bool:
        """The browser's own word on where a form was: the first header is missing over http and in old browsers."""
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"
        origin = request.headers.get("origin", "")
        return bool(origin_of(origin)) and (
            urlsplit(origin).netloc == request.headers.get("host")
            or origin_of(origin) == origin_of(self._public_url or "")
        )

    def _is_secure(self, request: Request) -> bool:
        """Whether the browser came over TLS, which ends before us: it says so itself, else PUBLIC_URL does."""
        return request.headers.get("origin", self._public_url or "").startswith("https://")
