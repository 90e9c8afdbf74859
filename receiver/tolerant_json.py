"""JSON of which little is sure: our own records, and values of what somebody else wrote."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

BOM = "\ufeff"
T = TypeVar("T")
_decode_with_texts = json.JSONDecoder(parse_int=str, parse_float=str).decode


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


def decode_tolerantly(line: bytes) -> Any:
    """A line as Python's own decoder reads it. Raises ValueError and RecursionError.

    Numbers stay text as written: the key 1.0 is "1.0", and 5,000 digits cost nothing.
    """
    return _decode_with_texts(line.decode().removeprefix(BOM))


def as_object(value: object) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """The value where it is text, else None."""
    return value if isinstance(value, str) else None
