"""Who may call: a program that sends API_TOKEN. No cookie counts, so no page can make one call."""

import time

from starlette.requests import Request

from receiver.api.problems import ProblemError
from receiver.status.credentials import RateLimit, Sessions

BEARER = "Bearer "
EXPECTED = "expected `Authorization: Bearer` with API_TOKEN"


class Access:
    """Checks the token of every request; after a flood of wrong ones it makes everybody wait."""

    def __init__(self, token: str) -> None:
        self._token, self._rate_limit = Sessions(token), RateLimit(time.monotonic())

    def require(self, request: Request) -> None:
        """Raises ProblemError, with 401 or 429, unless the request has the token."""
        header = request.headers.get("authorization", "")
        if not header.startswith(BEARER):
            raise ProblemError(401, EXPECTED, headers={"www-authenticate": "Bearer"})

        now_s = time.monotonic()
        if wait_s := self._rate_limit.wait_s(now_s):
            raise ProblemError(
                429,
                "too many wrong tokens were tried: wait a moment",
                headers={"retry-after": str(int(wait_s) + 1)},
            )
        if not self._token.is_token(header.removeprefix(BEARER)):
            self._rate_limit.count_failure(now_s)
            challenge = 'Bearer error="invalid_token"'
            raise ProblemError(
                401, "that is not API_TOKEN", headers={"www-authenticate": challenge}
            )
