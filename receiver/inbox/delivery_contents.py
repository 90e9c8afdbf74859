"""The headers and bodies of the last verified deliveries, so that a person can open one.

Those of refused ones are not kept: anybody can send them. Of a header only the name is kept, unless
its value is known to be harmless, so no signature or token is. Google repeats API keys in messages
of errors, so what looks like a secret, or is a known one, is left out of bodies. Best effort, like
the rest of the delivery log: of a flood the last few of each second are kept.
"""

import re
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import redis

from receiver.inbox.foreign import read_or
from receiver.inbox.redis import DELIVERY_CONTENTS, translate_redis_errors
from receiver.telemetry.shapes import signature_schemes

MAX_KEPT = 200
MAX_AT_ONCE = 20
MAX_BODY_BYTES = 8 * 1024  # Gemini's own take a few hundred
MAX_HEADERS, MAX_VALUE_CHARS = 40, 200
KEPT_S = 8 * 86400
MARGIN_BYTES = 256  # read beyond a cut, so that no half of a secret is left at it
HIDDEN = "…"
# Each alternative takes all of what it began with: else a body of "eyJeyJ…" is read once for every
# beginning in it, and no delivery is answered meanwhile.
SECRET = re.compile(
    r"AIza[\w-]{10,}|AQ\.[\w-]{10,}|wh(?:sec|sk)_[A-Za-z0-9+/=]{4,}|ya29\.[\w.-]+"
    r"|eyJ[\w-]{8,}[\w.-]*|[Bb]earer [\w.~+/-]+=*",
    re.ASCII,
)
HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length"),
        *("content-type", "date", "host", "traceparent", "transfer-encoding", "user-agent", "via"),
        *("webhook-id", "webhook-timestamp", "x-forwarded-proto"),
    }
)


class DeliveryContent(msgspec.Struct, frozen=True):
    """What one delivery brought."""

    delivery: str  # as `name_delivery` gives it
    time_ms: int  # Unix time by the clock of the web process
    headers: Mapping[str, str]  # `HIDDEN` for a value that might be a secret
    body: str  # about the first MAX_BODY_BYTES, with `HIDDEN` in place of secrets
    size_bytes: int  # of the whole body

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is there."""
        return self.size_bytes <= MAX_BODY_BYTES


class _Arrived(NamedTuple):
    delivery: str
    time_s: float
    fields: Mapping[bytes, bytes]
    body: bytes
    size_bytes: int


class ContentLog:
    """Gathers contents until the delivery log is written; any thread may add."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are those that are known."""
        known = "|".join(re.escape(one) for one in secrets if one)
        self._secret = re.compile(f"{known}|{SECRET.pattern}", re.ASCII) if known else SECRET
        self._arrived: deque[_Arrived] = deque(maxlen=MAX_AT_ONCE)

    def add(self, delivery: str, fields: Mapping[bytes, bytes], body: bytes) -> None:
        """`fields` are the headers, their names in lower case. Never waits."""
        cut = body[: MAX_BODY_BYTES + MARGIN_BYTES]
        self._arrived.append(_Arrived(delivery, time.time(), fields, cut, len(body)))

    def take(self) -> list[bytes]:
        """What has gathered, as it is written."""
        taken = list[bytes]()
        while self._arrived:
            taken.append(self._encode(self._arrived.popleft()))
        return taken

    def _encode(self, one: _Arrived) -> bytes:
        body = self._secret.sub(HIDDEN, one.body.decode(errors="replace"))
        if one.size_bytes > MAX_BODY_BYTES:
            body = body[:-MARGIN_BYTES]
        headers = {
            name: self._secret.sub(HIDDEN, value)
            for name, value in _keep_headers(one.fields).items()
        }
        time_ms = int(one.time_s * 1000)
        content = DeliveryContent(one.delivery, time_ms, headers, body, one.size_bytes)
        return msgspec.json.encode(content)


def _keep_headers(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Sorted by name.

    >>> _keep_headers({b"host": b"example.com", b"authorization": b"Bearer x"})
    {'authorization': '…', 'host': 'example.com'}
    """
    named = sorted(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in fields.items()
    )
    return {name[:MAX_VALUE_CHARS]: _keep_value(name, value) for name, value in named[:MAX_HEADERS]}


def _keep_value(name: str, value: str) -> str:
    if name == "webhook-signature":
        schemes = " ".join(signature_schemes(value))
        return f"{schemes} {HIDDEN}"
    return value[:MAX_VALUE_CHARS] if name in HARMLESS else HIDDEN


@translate_redis_errors()
def fetch_content(client: "redis.Redis", delivery: str, time_ms: int) -> DeliveryContent | None:
    """What a delivery brought, of several with its name the nearest; None where it is not kept.

    `time_ms` is its Unix time in the delivery log. Raises InboxUnavailableError.
    """
    rows: list[Any] = read_or([], lambda: client.lrange(DELIVERY_CONTENTS, 0, MAX_KEPT - 1))
    read = (_read(row) for row in rows)
    found = [one for one in read if one is not None and one.delivery == delivery]
    return min(found, key=lambda one: abs(one.time_ms - time_ms), default=None)


def _read(row: bytes) -> DeliveryContent | None:
    """None for what somebody else wrote."""
    try:
        return msgspec.json.decode(row, type=DeliveryContent)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
