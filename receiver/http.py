"""The HTTP client of this project, and what belongs to HTTP whoever is asked.

No other module imports httpx, so that its successor is a change of the one line below: the others
write `from receiver.http import httpx`.
"""

import functools
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

# httpx loads its own command line, and with it rich and pygments, wherever rich is installed: 3 MiB
# and 50 ms for every web process, worker and child process. It does without where they are missing.
sys.modules["httpx._main"] = None  # type: ignore[assignment]
# httpx loads it with its first client only: 30 ms of every job, in a child process of its own.
import httpcore  # noqa: E402
import httpx  # noqa: E402 - after the line above

__all__ = ["MAX_RETRY_AFTER_S", "httpx", "read_body", "retry_after_s", "trusted_certificates"]

MAX_RETRY_AFTER_S = 3600.0
BLOCK_BYTES = 64 * 1024  # malloc maps fresh pages for anything over 128 KiB


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """The CA certificates that servers are verified with, read once per process.

    Reading them takes longer than a small batch.
    """
    return httpx.create_ssl_context(trust_env=False)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by a `Retry-After` header, which may be a number or a date; else None."""
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        left_s = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(left_s, 0.0), MAX_RETRY_AFTER_S)


def read_body(response: httpx.Response) -> Iterator[bytes]:
    """The body as it was sent, in blocks of at most 64 KiB, each as soon as it arrives.

    A body of known length comes straight from the connection, which must be closed afterwards: the
    parser copies every byte three times. Raises httpx.TransportError, also when the body ends
    early; one without a length and without chunks ends early unnoticed.
    """
    blocks = response.iter_raw()
    if "transfer-encoding" in response.headers or "content-length" not in response.headers:
        yield from blocks
        return

    first = next(blocks, b"")  # with it comes all that was read together with the headers
    if first:
        yield first
        yield from _read_rest(response, int(response.headers["content-length"]) - len(first))


def _read_rest(response: httpx.Response, left_bytes: int) -> Iterator[bytes]:
    connection = response.extensions["network_stream"]
    timeout_s = response.request.extensions["timeout"]["read"]
    while left_bytes:
        try:
            block = connection.read(min(left_bytes, BLOCK_BYTES), timeout_s)
        except httpcore.TimeoutException as error:
            raise httpx.ReadTimeout(str(error)) from error
        except httpcore.NetworkError as error:
            raise httpx.ReadError(str(error)) from error
        if not block:
            raise httpx.RemoteProtocolError(f"the body ended {left_bytes} bytes early")
        left_bytes -= len(block)
        yield block
