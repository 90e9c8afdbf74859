import json
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.sandbox.google_api import (
    ApiError,
    decode,
    encode_compact,
    page_of,
    pick,
    refuse_unknown,
    snake,
    utc_text,
)


@dataclass
class Thing:
    number: int


@pytest.mark.parametrize("value", [{"a": [1, "é", None]}, "\ud800", 10**40, "\u2028"], ids=repr)
def test_compact_json_keeps_values(value: Any) -> None:
    encoded = encode_compact(value)
    assert json.loads(encoded) == value
    assert b", " not in encoded


def test_python_leniency_is_kept() -> None:
    assert decode(b'"\\ud800"') == "\ud800"
    with pytest.raises(ValueError, match="too deeply"):
        decode(b"[" * 100_000)


def test_both_casings_are_picked() -> None:
    assert snake("outputDimensionality") == "output_dimensionality"
    assert pick({"fileName": 1}, "fileName") == pick({"file_name": 1}, "fileName") == 1
    assert pick(None, "fileName") is pick({}, "fileName") is None


def test_unknown_names_are_named() -> None:
    refuse_unknown({"display_name": 1, "displayName": 2}, ("displayName",), "batch")
    with pytest.raises(ApiError, match="\"other\" at 'batch'"):
        refuse_unknown({"other": 1}, ("displayName",), "batch")


def test_times_have_nanoseconds() -> None:
    assert utc_text(1_769_083_200_000_000_007) == "2026-01-22T12:00:00.000000007Z"


def test_pages_cover_everything_once() -> None:
    things = [Thing(number) for number in range(100)]
    seen: list[int] = []
    token: str | None = None
    while token or not seen:
        page, token = page_of(things, "7", token, limit=100)
        seen += [thing.number for thing in page]
    assert seen == list(range(99, -1, -1))


@pytest.mark.parametrize(("size", "length"), [(None, 50), ("0", 50), ("1000", 60)])
def test_page_size_is_bounded(size: str | None, length: int) -> None:
    assert len(page_of([Thing(number) for number in range(100)], size, None, limit=60)[0]) == length


@pytest.mark.parametrize(("size", "token"), [("x", None), ("-1", None), (None, "!")])
def test_wrong_page_is_refused(size: str | None, token: str | None) -> None:
    with pytest.raises(ApiError):
        page_of([Thing(1)], size, token, limit=10)
