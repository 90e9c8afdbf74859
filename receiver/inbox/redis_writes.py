"""Does this Redis take a write? It may answer every question and still refuse to hold what is owed."""

import functools
import re
from importlib import resources

import redis
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from receiver.inbox.redis import RQ_WRITE_PROBE, WRITE_PROBE

REASONS = {
    "OOM": "Redis is full and takes no writes: raise its `maxmemory`, or see what else fills it",
    "READONLY": "this Redis is a read-only replica: let REDIS_URL name the primary",
    "MISCONF": "Redis takes no writes since it can't save them to its disk: see that the disk has room and is writable",
    "NOPERM": "the Redis user of REDIS_URL may not write: give it all commands on the keys `gbr:*` and `rq:*`",
    "NOREPLICAS": "Redis takes no writes since too few replicas follow it: bring them back, or lower"
    " `min-replicas-to-write`",
    "LOADING": "Redis is still loading its data",
    "MASTERDOWN": "this Redis is a replica that has lost its primary: let REDIS_URL name the primary",
}
_CODES = re.compile(rf"\b({'|'.join(REASONS)})\b")
_KINDS = (
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (NoPermissionError, "NOPERM"),
    (BusyLoadingError, "LOADING"),
    (MasterDownError, "MASTERDOWN"),
)


def find_write_obstacle(client: "redis.Redis", *keys: str) -> str | None:
    """In words why Redis takes no write, and what to do; None where it does. Nothing is left of what it tries.

    Raises redis.RedisError when Redis does not answer.
    """
    try:
        client.register_script(_read_script())(keys=keys or (WRITE_PROBE, RQ_WRITE_PROBE))
    except (ResponseError, BusyLoadingError, MasterDownError) as error:
        return _explain(error)
    return None


@functools.cache
def _read_script() -> str:
    return (resources.files("receiver.inbox") / "lua" / "probe.lua").read_text()


def _explain(error: redis.RedisError) -> str:
    """redis-py cuts the code off where it has a class of its own for it."""
    code = next((code for kind, code in _KINDS if isinstance(error, kind)), None)
    found = _CODES.search(str(error))
    code = code or (found[1] if found else None)
    if code is None and "ACL failure" in str(error):  # from within the script
        code = "NOPERM"
    return REASONS[code] if code else f"Redis refused a write: {error}"
