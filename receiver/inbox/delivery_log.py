"""The last deliveries, as `inbox deliveries` shows them.

The accept script logs accepted and known ones within its atomic step. Ignored and refused ones
are logged here, best effort and apart: a flood of forged deliveries costs Redis one write per
second, and hides no real delivery.
"""

import hashlib
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import msgspec
import redis

from receiver.inbox import delivery_contents, delivery_shapes
from receiver.inbox.delivery_contents import ContentLog
from receiver.inbox.delivery_shapes import ShapeLog
from receiver.inbox.foreign import read_or
from receiver.inbox.redis import (
    DELIVERIES,
    DELIVERY_CONTENTS,
    DELIVERY_SHAPES,
    REFUSALS,
    translate_redis_errors,
)

Verdict = Literal["accepted", "known", "ignored", "refused", "malformed"]
MAX_LOGGED = 1000
MAX_AT_ONCE = 50
FLUSH_EVERY_S = 1.0
REF_CHARS = 12
MAX_VALUE = 300  # characters; a refused delivery's fields are what its sender wrote


@dataclass(frozen=True)
class Delivery:
    """One delivery and what became of it."""

    time_ms: int  # Unix time by Redis' clock
    verdict: Verdict
    project: str  # whose webhook endpoint it came to; empty for the default project
    scheme: str  # "v1", "v1a" or "jwt"; empty where it was refused
    delivery_id: str  # webhook-id
    event: str
    batch: str  # its name in the inbox
    cause: str  # of a refusal

    @property
    def name(self) -> str:
        """As `name_delivery` gives it."""
        return name_delivery(self.project, self.scheme, self.delivery_id)

    @property
    def ref(self) -> str:
        """What it is called in an address; its own id is what its sender wrote."""
        text = f"{self.name}\n{self.verdict}\n{self.batch}\n{self.event}\n{self.cause}"
        digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
        return f"{self.time_ms}-{digest[:REF_CHARS]}"


@dataclass(frozen=True)
class RejectedDelivery:
    """A delivery that left nothing in the inbox."""

    verdict: Verdict
    delivery: str  # as `name_delivery` gives it
    event: str = ""
    cause: str = ""


def name_delivery(project: str, scheme: str, delivery_id: str) -> str:
    """What a delivery is remembered by; `scheme` is empty where nothing was proven.

    Each project has ids of its own: none can make another's delivery look like a second one.

    >>> name_delivery("acme", "v1", "msg_1"), name_delivery("", "v1", "msg_1")
    ('acme/v1:msg_1', 'v1:msg_1')
    """
    return f"{project}/{scheme}:{delivery_id}" if project else f"{scheme}:{delivery_id}"


def _split_delivery(name: str) -> tuple[str, str, str]:
    """Undo `name_delivery`."""
    origin, _, delivery_id = name.partition(":")
    project, _, scheme = origin.rpartition("/")
    return project, scheme, delivery_id


class DeliveryLog:
    """Gathers rejected deliveries and writes them once per second; the oldest give way."""

    def __init__(self, client: "redis.Redis", secrets: Iterable[str] = ()) -> None:
        """`secrets` are known ones, which a body may repeat."""
        self._client = client
        self.shapes = ShapeLog()
        self.contents = ContentLog(secrets)
        self._rejected: deque[RejectedDelivery] = deque(maxlen=MAX_AT_ONCE)
        self._flushed = 0.0

    def add(self, delivery: RejectedDelivery) -> None:
        """May be called from any thread; never waits."""
        self._rejected.append(delivery)

    def flush(self) -> None:
        """Write what has gathered, at most once per second. Raises InboxUnavailableError."""
        if time.monotonic() - self._flushed < FLUSH_EVERY_S:
            return
        shapes, contents = self.shapes.take(), self.contents.take()
        if not (self._rejected or shapes or contents):
            return
        self._flushed = time.monotonic()
        pipeline = self._client.pipeline(transaction=False)
        for name, shape in shapes.items():
            pipeline.hset(DELIVERY_SHAPES, name, shape)
        if shapes:
            pipeline.expire(DELIVERY_SHAPES, delivery_shapes.KEPT_S)
        if contents:
            pipeline.lpush(DELIVERY_CONTENTS, *contents)
            pipeline.ltrim(DELIVERY_CONTENTS, 0, delivery_contents.MAX_KEPT - 1)
            pipeline.expire(DELIVERY_CONTENTS, delivery_contents.KEPT_S)
        while self._rejected:
            delivery = self._rejected.popleft()
            pipeline.xadd(
                REFUSALS,
                {name: text[:MAX_VALUE] for name, text in asdict(delivery).items()},
                maxlen=MAX_LOGGED,
            )
        with translate_redis_errors("take the rejected deliveries"):
            pipeline.execute()


def fetch_deliveries(
    client: "redis.Redis", most: int, project: str | None = None
) -> list[Delivery]:
    """The last deliveries, newest first, of one project or of all.

    Raises InboxUnavailableError.
    """
    count = most if project is None else MAX_LOGGED
    with translate_redis_errors():
        accepted: list[Any] = read_or([], lambda: client.lrange(DELIVERIES, 0, count - 1))
        refused: list[Any] = read_or([], lambda: client.xrevrange(REFUSALS, count=count) or [])
    read = [*(_read_accepted(row) for row in accepted), *(_read_refused(*row) for row in refused)]
    found = [one for one in read if one is not None and project in (None, one.project)]
    return sorted(found, key=lambda one: one.time_ms, reverse=True)[:most]


def find_delivery(client: "redis.Redis", ref: str) -> Delivery | None:
    """The delivery that is called so in an address. Raises InboxUnavailableError."""
    found = fetch_deliveries(client, 2 * MAX_LOGGED)
    return next((one for one in found if one.ref == ref), None)


def _read_accepted(row: bytes) -> Delivery | None:
    """A row of the accept script; None for anything else."""
    try:
        time_ms, verdict, delivery, event, batch = row.decode(errors="replace").split("\n")
        return Delivery(
            int(time_ms), _verdict(verdict), *_split_delivery(delivery), event, batch, ""
        )
    except ValueError:
        return None


def _read_refused(row_id: Any, row: Any) -> Delivery | None:
    """A row of `DeliveryLog`; None for anything else."""
    fields = {
        name.decode(errors="replace"): value.decode(errors="replace") for name, value in row.items()
    }
    delivery, event, cause = (fields.get(name, "") for name in ("delivery", "event", "cause"))
    try:
        verdict, time_ms = _verdict(fields.get("verdict", "")), int(row_id.partition(b"-")[0])
    except ValueError:
        return None
    return Delivery(time_ms, verdict, *_split_delivery(delivery), event, "", cause)


def _verdict(text: str) -> Verdict:
    """Raises ValueError."""
    verdict: Verdict = msgspec.convert(text, Verdict)
    return verdict
