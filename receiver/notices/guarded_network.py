"""Connections to allowed addresses only, against server-side request forgery.

A name is resolved once, its addresses are checked, and the connection goes to one of these: an
answer that differs the second time (DNS rebinding) changes nothing.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from receiver.errors import NoticeError
from receiver.settings.notice_addresses import find_refusal, parse_address

CONNECT_S = 5.0  # per address
MAX_ADDRESSES = 3


def resolve(host: str, port: int, *, is_https: bool, private: bool) -> list[str]:
    """The allowed addresses of a host. Raises NoticeError if there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoticeError(f"{host} could not be resolved: {error}") from error
    texts = dict.fromkeys(str(one[4][0]) for one in found)
    addresses = {text: address for text in texts if (address := parse_address(text)) is not None}
    refusals = {
        text: find_refusal(address, is_https=is_https, private=private)
        for text, address in addresses.items()
    }
    allowed = [text for text, refusal in refusals.items() if refusal is None]
    if not allowed:
        text, refusal = next(iter(refusals.items()), (host, "it has no address"))
        raise NoticeError(f"nothing was sent to {host} ({text}): {refusal}")
    return allowed[:MAX_ADDRESSES]


class _Stream(httpcore.NetworkStream):
    """A stream with one deadline for all steps: slow drips would outlast any timeout per step."""

    def __init__(self, stream: httpcore.NetworkStream, deadline_s: float) -> None:
        self._stream, self._deadline_s = stream, deadline_s

    def _left_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise httpcore.ReadTimeout
        return left_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline is ours
        return self._stream.read(max_bytes, self._left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - likewise
        self._stream.write(buffer, self._left_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - likewise
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._stream.start_tls(ssl_context, server_hostname, self._left_s()), self._deadline_s
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to the given addresses, whatever the name resolves to by now."""

    def __init__(self, addresses: Iterable[str], deadline_s: float) -> None:
        self._addresses, self._deadline_s = list(addresses), deadline_s
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - it was resolved before
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline is ours
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        error: Exception = httpcore.ConnectTimeout()
        for address in self._addresses:
            left_s = min(CONNECT_S, self._deadline_s - time.monotonic())
            if left_s <= 0:
                break
            try:
                stream = self._plain.connect_tcp(
                    address, port, left_s, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as refused:
                error = refused
            else:
                return _Stream(stream, self._deadline_s)
        raise error
