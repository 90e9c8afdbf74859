"""JSON of which little is sure: our own records, and values of what somebody else wrote."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def tolerant_reader(kind: type[T]) -> Callable[[bytes], T]:
    """A function that reads one JSON document as `kind`. It raises ValueError for what is none."""
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes) -> T:
        try:
            return decode(data)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # lone surrogates, which keys may hold, are more than it reads
            return msgspec.convert(json.loads(data), kind)

    return read


def as_object(value: object) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """The value where it is text, else None."""
    return value if isinstance(value, str) else None
