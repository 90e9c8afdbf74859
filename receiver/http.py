"""The HTTP client of this project, and what belongs to HTTP whoever is asked.

No other module imports httpx, so that its successor is a change of the one line below: the others
write `from receiver.http import httpx`.
"""

import functools
import os
import ssl
import sys
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# httpx loads its own command line, and with it rich and pygments, wherever rich is installed: 3 MiB
# and 50 ms for every web process, worker and child process. It does without where they are missing.
sys.modules["httpx._main"] = None  # type: ignore[assignment]
# httpx loads it with its first client only: 30 ms of every job, in a child process of its own.
import httpcore  # noqa: E402
import httpx  # noqa: E402 - after the line above

from receiver.network.proxies import find_proxy  # noqa: E402

__all__ = [
    "MAX_RETRY_AFTER_S",
    "httpcore",
    "httpx",
    "proxy_for",
    "retry_after_s",
    "trusted_certificates",
]

MAX_RETRY_AFTER_S = 3600.0


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """The CA certificates that servers are verified with, read once per process.

    Reading them takes longer than a small batch.
    """
    return httpx.create_ssl_context(trust_env=False)


def proxy_for(url: str) -> httpx.Proxy | None:
    """The proxy for a client that calls `url`, by this process's environment; None for none."""
    address = find_proxy(url, os.environ)
    if address is None:
        return None
    tls = trusted_certificates() if address.startswith("https:") else None
    return httpx.Proxy(address, ssl_context=tls)


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
