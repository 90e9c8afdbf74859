"""Who may see the page and press its buttons: a logged-in browser, or a program with the token."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from receiver.settings.web_urls import origin_of, split_url
from receiver.status.credentials import SESSION_S, RateLimit, Sessions

COOKIE = "gbr_status"
# A browser takes it from this very host over TLS only.
SECURE_COOKIE = f"__Host-{COOKIE}"
NONCE_BYTES = 16
BEARER = "Bearer "


@dataclass(frozen=True)
class Visitor:
    """Somebody who may see the page."""

    session: str  # the cookie's value; empty for a program that sends the token itself
    form_token: str


@dataclass(frozen=True)
class Refusal:
    """Somebody who may not."""

    status: int  # 401, or 429 while too many wrong tokens come
    text: str  # empty where no token was tried
    retry_after_s: int = 0


class Authenticator:
    """Judges requests by their own headers; those that a proxy adds are ignored."""

    def __init__(self, token: str, public_url: str | None) -> None:
        self._sessions, self._rate_limit = Sessions(token), RateLimit(time.monotonic())
        self._public_url = public_url

    def authenticate(self, request: Request) -> Visitor | Refusal:
        """Who sent the request."""
        header = request.headers.get("authorization", "")
        if header:
            token = header.removeprefix(BEARER) if header.startswith(BEARER) else ""
            return self._check_token(token) or Visitor("", "")

        for name in (SECURE_COOKIE, COOKIE):
            session = request.cookies.get(name, "")
            if session and self._sessions.is_open(session, time.time()):
                return Visitor(session, self._sessions.form_token(session))
        return Refusal(401, "")

    def log_in(self, request: Request, token: str) -> Refusal | None:
        """None if a form of our own page brought the token."""
        if not self._is_own_page(request):
            return Refusal(403, "The form did not come from this page: log in here.")
        return self._check_token(token)

    def _check_token(self, token: str) -> Refusal | None:
        now_s = time.monotonic()
        if wait_s := self._rate_limit.wait_s(now_s):
            text = "Too many wrong tokens were tried. Wait a moment, then try again."
            return Refusal(429, text, int(wait_s) + 1)
        if self._sessions.is_token(token):
            return None
        self._rate_limit.count_failure(now_s)
        return Refusal(401, "That is not the token.")

    def may_act(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> bool:
        """Whether a POST is meant.

        A browser may send its cookie along with the form of any page; only ours knows the token
        of the form.
        """
        if not visitor.session:
            return True
        is_ours = self._sessions.is_form_token(visitor.session, form.get("form", ""))
        return is_ours and self._is_own_page(request)

    def open_session(self, request: Request, response: Response) -> None:
        """Give the browser a cookie."""
        is_secure = self._is_secure(request)
        response.set_cookie(
            SECURE_COOKIE if is_secure else COOKIE,
            self._sessions.begin(time.time(), secrets.token_urlsafe(NONCE_BYTES)),
            max_age=SESSION_S,
            path="/",
            secure=is_secure,
            httponly=True,
            samesite="strict",
        )

    def close_session(self, response: Response) -> None:
        """Take the cookie away from the browser."""
        for name in (COOKIE, SECURE_COOKIE):
            is_secure = name == SECURE_COOKIE
            response.delete_cookie(
                name, path="/", secure=is_secure, httponly=True, samesite="strict"
            )

    def _is_own_page(self, request: Request) -> bool:
        """Whether a form was on our own page, as the browser says.

        Sec-Fetch-Site is missing over http and in old browsers.
        """
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"

        origin = request.headers.get("origin", "")
        parts = split_url(origin)
        is_same_host = parts is not None and parts.netloc == request.headers.get("host")
        is_public = origin_of(origin) == origin_of(self._public_url or "")
        return bool(origin_of(origin)) and (is_same_host or is_public)

    def _is_secure(self, request: Request) -> bool:
        """Whether the browser came over TLS, which ends before us.

        The browser's Origin says so, else PUBLIC_URL.
        """
        return request.headers.get("origin", self._public_url or "").startswith("https://")
