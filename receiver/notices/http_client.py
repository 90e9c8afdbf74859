"""Sends one POST: without redirects, within a deadline, reading next to nothing of the answer."""

import re
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress

import httpcore

from receiver.errors import NoticeError
from receiver.http import httpx, retry_after_s
from receiver.notices.acknowledgements import Acknowledged
from receiver.notices.guarded_network import PinnedBackend, resolve
from receiver.settings.notice_targets import Target

DEADLINE_S = 15.0  # including the resolution of the name
MAX_REASON_BYTES = 40  # of an answer: Slack says in one word what is wrong
NETWORK_ERRORS = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    OSError,
)


def find_addresses(target: Target, *, private: bool) -> list[str]:
    """The addresses that a notice would go to now. Raises NoticeError."""
    url = httpcore.URL(target.url)
    return resolve(target.host, url.origin.port, is_https=url.scheme == b"https", private=private)


def post(  # noqa: PLR0913 - the parts of one try, two of them given by name
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    tls: ssl.SSLContext,
    *,
    private: bool,
    deadline_s: float = DEADLINE_S,
) -> Acknowledged:
    """Send once. Raises NoticeError for every answer but a 2xx, and for none."""
    started_s = time.monotonic()
    backend = PinnedBackend(find_addresses(target, private=private), started_s + deadline_s)
    sent = {"content-type": "application/json", "user-agent": "gemini-batch-receiver", **headers}
    try:
        with (
            httpcore.ConnectionPool(tls, network_backend=backend) as pool,
            pool.stream("POST", target.url, headers=list(sent.items()), content=body) as answer,
        ):
            _require_success(target, answer)
            return Acknowledged(answer.status, str(answer.status), time.monotonic() - started_s)
    except NETWORK_ERRORS as error:
        raise NoticeError(f"{target.host} did not answer: {_describe(error)}") from error


def _require_success(target: Target, answer: httpcore.Response) -> None:
    if httpx.codes.is_success(answer.status):
        return
    response_headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers
    }
    reason = _read_reason(target, answer)
    raise NoticeError(
        f"{target.host} answered {answer.status}{reason}",
        is_final=answer.status == httpx.codes.GONE,
        retry_after_s=retry_after_s(response_headers),
    )


def _read_reason(target: Target, answer: httpcore.Response) -> str:
    """The answer's text if it is one plain word. A page may repeat our URL, which may be secret."""
    head = b""
    with suppress(*NETWORK_ERRORS):
        for chunk in answer.iter_stream():
            head += chunk
            if len(head) > MAX_REASON_BYTES:
                return ""
    reason = head.decode("latin-1").strip()
    return f" {reason}" if re.fullmatch(r"[a-z_]+", reason) and reason not in target.url else ""


def _describe(error: Exception) -> str:
    if isinstance(error, httpcore.TimeoutException):
        return "it took too long"
    return f"{type(error).__name__} {error}".strip()
