"""JSON of our own records, read fast where that works."""

import json
from collections.abc import Callable
from typing import TypeVar

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
