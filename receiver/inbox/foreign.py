"""What another program may have put under our keys in Redis: other bytes than text, other types.

It must not hide anything else: readers leave it out, and `find_foreign` names it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import redis

from receiver.inbox.redis import (
    BURIED,
    COUNTERS,
    DEAD_NOTICES,
    DELIVERIES,
    DELIVERY_CONTENTS,
    DELIVERY_SHAPES,
    DONE,
    DUE,
    METRICS,
    NOTICE_TARGETS,
    PAUSED,
    RECONCILE,
    REFUSALS,
    translate_redis_errors,
)
from receiver.outputs.wording import count_of

T = TypeVar("T")
TYPES: Mapping[str, str] = {
    **dict.fromkeys((DUE, BURIED, DONE, DEAD_NOTICES), "zset"),
    **dict.fromkeys((COUNTERS, METRICS, PAUSED, RECONCILE), "hash"),
    **dict.fromkeys((DELIVERIES, DELIVERY_CONTENTS), "list"),
    DELIVERY_SHAPES: "hash",
    REFUSALS: "stream",
    NOTICE_TARGETS: "set",
}
MAX_MEMBERS = 1000
MAX_SHOWN = 60  # characters


def read_texts(values: Iterable[Any]) -> list[str]:
    """Those that are text. Nothing of ours ever writes other bytes."""
    return [text for value in values if (text := read_text(value)) is not None]


def read_text(value: bytes) -> str | None:
    """None for what is no UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def read_number(value: bytes | None) -> int | None:
    """None for what is none."""
    return int(value) if value is not None and value.isdigit() else None


def is_wrong_type(error: object) -> bool:
    return isinstance(error, redis.ResponseError) and "WRONGTYPE" in str(error)


def read_or(default: T, question: Callable[[], T]) -> T:
    """What the question gives; the default where its key is of another type.

    Raises redis.RedisError.
    """
    try:
        return question()
    except redis.ResponseError as error:
        if is_wrong_type(error):
            return default
        raise


@translate_redis_errors()
def find_foreign(client: "redis.Redis") -> list[str]:
    """In words what there is, and how to get rid of it. Raises InboxUnavailableError."""
    pipeline = client.pipeline(transaction=False)
    for key in TYPES:
        pipeline.type(key)
    kinds = [kind.decode() for kind in pipeline.execute()]
    wrong = {
        key: kind
        for key, kind in zip(TYPES, kinds, strict=True)
        if kind not in (TYPES[key], "none")
    }
    found = [
        f"the key {key} in Redis is a {kind} instead of a {TYPES[key]}: another program wrote it;"
        f" delete it (`redis-cli DEL {key}`), and a reconcile run restores what is pending"
        for key, kind in wrong.items()
    ]
    for key in (DUE, BURIED, DONE):
        members: list[Any] = [] if key in wrong else client.zrange(key, 0, MAX_MEMBERS - 1)
        odd = [member for member in members if read_text(member) is None]
        if odd:
            members_are = count_of(len(odd), "member that is", "members that are")
            found.append(
                f"{key} in Redis has {members_are} no text, such as {_shown(odd[0])}: another"
                " program wrote this, and it is left out; remove"
                f" them (`redis-cli ZREM {key} …`)"
            )
    return found


def _shown(value: bytes) -> str:
    return value.decode(errors="backslashreplace")[:MAX_SHOWN]
