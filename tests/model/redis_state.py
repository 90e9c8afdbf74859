"""What stands in Redis, key by key, as plain values that compare and print."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

Value = str | dict[str, str] | dict[str, int] | list[str] | frozenset[str]
Members = dict[str, int]  # of a sorted set


@dataclass(frozen=True)
class Stored:
    """One key. A sorted set's scores are whole numbers: all of ours are Unix times in ms."""

    value: Value
    expires_ms: int | None = None  # in Unix time by Redis' clock


State = dict[str, Stored]
COUNTED = (
    "gbr:metrics",
    "gbr:history:",
    "gbr:trend:",
)  # hashes of sums: Redis writes them to 17 digits
NOT_IN_SCRIPTS = (
    *("gbr:counters", "gbr:refusals", "gbr:running", "gbr:shapes", "gbr:web", "rq:"),
    *("gbr:enqueued", "gbr:quota_refusals", "gbr:room_line", "gbr:delivery_contents", "gbr:again:"),
)

# One step, so that nothing changes between two keys.
DUMP = """
local READERS = {
  string = function(key) return redis.call('GET', key) end,
  hash = function(key) return redis.call('HGETALL', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  set = function(key) return redis.call('SMEMBERS', key) end,
}
local found = {}
for _, key in ipairs(redis.call('KEYS', 'gbr:*')) do
  local kind = redis.call('TYPE', key).ok
  local read = READERS[kind]
  found[#found + 1] = { key, kind, redis.call('PEXPIRETIME', key), read and read(key) or '' }
end
return found
"""


def text(data: bytes) -> str:
    """Bytes as Redis has them, without loss."""
    return data.decode(errors="surrogateescape")


def raw(words: str) -> bytes:
    """Undoes `text`."""
    return words.encode(errors="surrogateescape")


def dump(client: "redis.Redis") -> State:
    """All that the scripts write; other programs' keys are left out."""
    found: Any = client.eval(DUMP, 0)
    return read_dump(found)


def read_dump(found: list[tuple[bytes, bytes, int, Any]]) -> State:
    return {
        name: Stored(_read(name, text(kind), value), None if expires_ms < 0 else expires_ms)
        for key, kind, expires_ms, value in found
        if not (name := text(key)).startswith(NOT_IN_SCRIPTS)
    }


def _read(key: str, kind: str, value: Any) -> Value:
    if kind == "string":
        return text(value)
    words = [text(part) for part in value]
    if kind == "list":
        return words
    if kind == "set":
        return frozenset(words)
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    if kind == "zset":
        return {member: int(score) for member, score in pairs.items()}
    return rounded(pairs) if key.startswith(COUNTED) else pairs


def rounded(sums: Mapping[str, str | float]) -> dict[str, str]:
    """Sums to six digits: how a double is rounded at the seventeenth is no promise."""
    return {field: f"{float(value):.6f}" for field, value in sums.items()}


def differences(expected: State, found: State) -> Iterator[str]:
    """A line for each key, or field of a hash, that is not as expected."""
    for key in sorted(expected.keys() | found.keys()):
        ours, theirs = expected.get(key), found.get(key)
        if ours == theirs:
            continue
        if ours is None or theirs is None:
            yield f"{key}: the model has {_shown(ours)}, Redis has {_shown(theirs)}"
            continue
        if ours.expires_ms != theirs.expires_ms:
            yield f"{key} expires: model {ours.expires_ms}, Redis {theirs.expires_ms}"
        yield from _inner_differences(key, ours.value, theirs.value)


def _inner_differences(key: str, ours: Value, theirs: Value) -> Iterator[str]:
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        if ours != theirs:
            yield f"{key}: model {ours!r}, Redis {theirs!r}"
        return
    for field in sorted(ours.keys() | theirs.keys()):
        if ours.get(field) != theirs.get(field):
            yield f"{key} {field}: model {ours.get(field)!r}, Redis {theirs.get(field)!r}"


def _shown(stored: Stored | None) -> str:
    return "nothing" if stored is None else repr(stored.value)


def shown(state: State) -> str:
    """A line for each key."""
    return "\n".join(f"  {key}: {state[key]}" for key in sorted(state))
