"""How Gemini's deliveries look: of each kind the last one that was verified, without contents.

The web process writes them for `doctor --probe`, whose report they are a part of.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from receiver.inbox.foreign import read_or
from receiver.inbox.redis import DELIVERY_SHAPES, translate_redis_errors
from receiver.telemetry.shapes import header_shapes, shape_of
from receiver.tolerant_json import tolerant_reader

KEPT_S = 7 * 24 * 3600
MAX_WAITING = 50
# A kind that comes again and again is looked at once in so long: it would look the same.
LOOK_EVERY_S = 10.0
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_decode = tolerant_reader(object)


class DeliveryShape(msgspec.Struct, frozen=True):
    """The shape of one delivery, as `receiver.telemetry.shapes` gives it."""

    project: str  # empty for the default one
    scheme: str  # v1, v1a or jwt
    event: str
    time_ms: int  # Unix time by the clock of the web process
    headers: Mapping[str, str]
    body: Any
    kid: str = ""  # that a token names; the other schemes name none

    @property
    def kind(self) -> str:
        """The field that it is kept in."""
        return f"{self.project}/{self.scheme}/{self.event}"


def take_shape(
    project: str, scheme: str, event: str, fields: Mapping[bytes, bytes], body: bytes
) -> DeliveryShape:
    """How a verified delivery looks. `fields` are the headers, their names in lower case."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields.items()]
    signature = fields.get(b"webhook-signature", b"").decode("latin-1")
    return DeliveryShape(
        project=project,
        scheme=scheme,
        event=event,
        time_ms=int(time.time() * 1000),
        headers=header_shapes(headers),
        body=shape_of(_decode(body)),
        kid=_token_kid(signature) if scheme == "jwt" else "",
    )


def _token_kid(token: str) -> str:
    """The `kid` of a verified token, which is public; empty for one of another form."""
    import jwt  # noqa: PLC0415 - 6 MiB, and every worker imports this file

    kid = str(jwt.get_unverified_header(token).get("kid", ""))
    return kid if _KID.fullmatch(kid) else ""


class ShapeLog:
    """Gathers shapes until the delivery log is written; any thread may add."""

    def __init__(self) -> None:
        self._looked: dict[tuple[str, str, str], float] = {}
        self._waiting: dict[str, bytes] = {}

    def wants(self, project: str, scheme: str, event: str) -> bool:
        """Whether none of this kind was looked at lately; from then on one was."""
        kind, now = (project, scheme, event), time.monotonic()
        if now - self._looked.get(kind, -LOOK_EVERY_S) < LOOK_EVERY_S:
            return False
        if len(self._looked) >= MAX_WAITING:
            self._looked.clear()
        self._looked[kind] = now
        return True

    def add(self, shape: DeliveryShape) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting[shape.kind] = msgspec.json.encode(shape)

    def take(self) -> dict[str, bytes]:
        """What has gathered, by kind."""
        taken, self._waiting = self._waiting, {}
        return taken


@translate_redis_errors()
def fetch_shapes(client: "redis.Redis", project: str) -> list[DeliveryShape]:
    """The shapes of one project's deliveries. Raises InboxUnavailableError."""
    rows: Mapping[Any, Any] = read_or({}, lambda: client.hgetall(DELIVERY_SHAPES))
    read = (_read(row) for row in rows.values())
    return [one for one in read if one is not None and one.project == project]


def _read(row: bytes) -> DeliveryShape | None:
    """None for what somebody else wrote."""
    try:
        return msgspec.json.decode(row, type=DeliveryShape)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
