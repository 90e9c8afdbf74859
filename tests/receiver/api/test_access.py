"""Who may call, and what is said of what fails."""

import errno

import pytest
from starlette.requests import Request

from receiver.api.access import Access
from receiver.api.problems import CRASHED, FULL, ProblemError, problem_of
from receiver.errors import GeminiError, InboxUnavailableError, ManifestError, StorageError
from receiver.status.credentials import BURST
from tests.receiver.api.calling import TOKEN


def request_with(token: str) -> Request:
    headers = [(b"authorization", f"Bearer {token}".encode("latin-1"))]
    return Request({"type": "http", "headers": headers})


def refusal(access: Access, token: str) -> ProblemError:
    with pytest.raises(ProblemError) as raised:
        access.require(request_with(token))
    return raised.value


def test_flood_of_wrong_tokens_makes_everybody_wait() -> None:
    access = Access(TOKEN)
    access.require(request_with(TOKEN))
    for number in range(BURST):
        assert refusal(access, f"{number}\xe9").problem.status == 401
    for token in ("wrong", TOKEN):
        told = refusal(access, token)
        assert told.problem.status == 429
        assert 1 <= int(told.headers["retry-after"]) <= 4


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (InboxUnavailableError("Redis did not answer"), 503, "Redis did not answer"),
        (StorageError("the storage did not read"), 503, "the storage did not read"),
        (StorageError("no right to write", retryable=False), 500, "no right to write"),
        (GeminiError("Gemini did not answer"), 502, "Gemini did not answer"),
        (ManifestError("broken"), 500, "broken"),
        (OSError(errno.ENOSPC, "No space left", "/secret"), 507, FULL),
        (OSError(errno.EACCES, "Permission denied", "/secret"), 500, CRASHED),
        (KeyError("secret"), 500, CRASHED),
    ],
)
def test_error_has_its_status(error: Exception, status: int, detail: str) -> None:
    told = problem_of(error)
    assert (told.problem.status, told.problem.detail) == (status, detail)
    assert ("retry-after" in told.headers) == (status == 503)
