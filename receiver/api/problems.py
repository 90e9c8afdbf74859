"""What is answered to a request that fails: RFC 9457's problem details."""

import errno
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from receiver.errors import (
    FaultyInputError,
    GeminiError,
    InboxUnavailableError,
    ReceiverError,
    StorageError,
    SubmissionError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
CRASHED = "this went wrong here; the log of the web process says more"
FULL = "the scratch disk of the web process is full: nothing was taken in"


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with what was sent."""

    parameter: str = ""  # of the address
    line: int = 0  # of the body, from 1
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request failed, as RFC 9457 describes it; its `type` is `about:blank`."""

    status: int
    title: str  # of the status
    detail: str
    errors: Sequence[ErrorDetail] = ()  # the first ones


class ProblemError(ReceiverError):
    """A request can't be answered as it was meant."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[ErrorDetail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(
            status=status, title=HTTPStatus(status).phrase, detail=detail, errors=errors
        )
        self.headers = dict(headers or {})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers.setdefault("retry-after", str(RETRY_AFTER_S))

    def response(self) -> Response:
        return Response(
            msgspec.json.encode(self.problem),
            self.problem.status,
            media_type=MEDIA_TYPE,
            headers=self.headers,
        )


def problem_of(error: Exception) -> ProblemError:
    """What is said of an error. One that nobody foresaw says nothing of itself."""
    match error:
        case ProblemError():
            return error
        case FaultyInputError():
            return _of_input(error)
        case ReceiverError():
            return ProblemError(_status_of(error), str(error))
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return ProblemError(507, FULL)
        case _:
            return ProblemError(500, CRASHED)


def _status_of(error: ReceiverError) -> int:
    match error:
        case SubmissionError():
            return 422
        case GeminiError():
            return 502
        case InboxUnavailableError() | StorageError(retryable=True):
            return 503
        case _:
            return 500


def _of_input(error: FaultyInputError) -> ProblemError:
    """Its lines one by one, beside what is said of all of them."""
    head, *hints = [line for line in str(error).splitlines() if not line.startswith(" ")]
    named = [ErrorDetail(line=line, detail=detail) for line, detail in error.first]
    more = f"; `errors` has the first {len(named)}" if error.count > len(named) else ""
    return ProblemError(422, ". ".join([f"{head.rstrip(':')}{more}", *hints]), named)


def in_words_of_the_api(text: str, parameters: Sequence[str]) -> str:
    """A message of `batches submit`, whose options are parameters here.

    >>> in_words_of_the_api("raise --max-cost, or --set it", ["max_cost"])
    'raise max_cost, or --set it'
    """

    def rename(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        return name if name in parameters else match[0]

    return re.sub(r"--([a-z][a-z-]*[a-z])", rename, text)
