"""One try to send a notice. Redirects are not followed, answers are hardly read, and all of it has a deadline."""

import re
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpcore

from receiver.errors import NoticeError
from receiver.http import httpx, retry_after_s
from receiver.notices.guarded_network import JudgedBackend, resolve
from receiver.settings.notice_targets import Target

DEADLINE_S = 15.0  # from the question for the addresses on
MAX_WORD = 40  # bytes of an answer: Slack says in a word what is wrong
FAULTS = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    OSError,
)


@dataclass(frozen=True)
class Acknowledged:
    """An answer that acknowledges."""

    status: int
    took_s: float


def find_addresses(target: Target, *, private: bool) -> list[str]:
    """Where a notice to the target would go now. Raises NoticeError."""
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
    """Send once. Gives the 2xx that acknowledges; raises NoticeError for everything else."""
    began_s = time.monotonic()
    backend = JudgedBackend(find_addresses(target, private=private), began_s + deadline_s)
    sent = {"content-type": "application/json", "user-agent": "gemini-batch-receiver", **headers}
    try:
        with (
            httpcore.ConnectionPool(tls, network_backend=backend) as pool,
            pool.stream("POST", target.url, headers=list(sent.items()), content=body) as answer,
        ):
            _require_success(target, answer)
            return Acknowledged(answer.status, time.monotonic() - began_s)
    except FAULTS as error:
        raise NoticeError(f"{target.host} did not answer: {_words(error)}") from error


def _require_success(target: Target, answer: httpcore.Response) -> None:
    if httpx.codes.is_success(answer.status):
        return
    said = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers
    }
    word = _read_word(target, answer)
    raise NoticeError(
        f"{target.host} answered {answer.status}{word}",
        is_final=answer.status == httpx.codes.GONE,
        retry_after_s=retry_after_s(said),
    )


def _read_word(target: Target, answer: httpcore.Response) -> str:
    """What the answer says where that is one plain word. A page may repeat our address, which may be a secret."""
    head = b""
    with suppress(*FAULTS):
        for chunk in answer.iter_stream():
            head += chunk
            if len(head) > MAX_WORD:
                return ""
    word = head.decode("latin-1").strip()
    return f" {word}" if re.fullmatch(r"[a-z_]+", word) and word not in target.url else ""


def _words(error: Exception) -> str:
    if isinstance(error, httpcore.TimeoutException):
        return "it took too long"
    return f"{type(error).__name__} {error}".strip()
