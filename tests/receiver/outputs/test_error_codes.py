"""One table of names for everything that shows an error code."""

import doctest

import pytest

from receiver.outputs import error_codes
from receiver.outputs.error_codes import RPC_NAMES, describe_code, name_code
from workers.results import rules


def test_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(error_codes).failed == 0


def test_names_are_those_of_googles_own_definition() -> None:
    code_pb2 = pytest.importorskip("google.rpc.code_pb2", reason="pip install -e '.[otel]'")
    assert {number: name for name, number in code_pb2.Code.items() if number} == RPC_NAMES


@pytest.mark.parametrize("retryable", ["_TRANSIENT", "_PERMANENT"])
def test_rules_know_the_same_codes(retryable: str) -> None:
    """A number and its name are judged alike, and no name is spelt otherwise."""
    codes: frozenset[str] = getattr(rules, retryable)
    assert {name for name in codes if not name.isdigit()} <= set(RPC_NAMES.values())
    for number, name in RPC_NAMES.items():
        assert (str(number) in codes) == (name in codes)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (13, "13 INTERNAL"),
        ("13", "13 INTERNAL"),
        (429, "429 RESOURCE_EXHAUSTED"),
        ("503", "503 UNAVAILABLE"),
        ("409", "409 CONFLICT"),
        ("502", "502 BAD_GATEWAY"),
        ("NOT_FOUND", "NOT_FOUND"),
        ("MAX_TOKENS", "MAX_TOKENS"),
        ("json", "json"),
        (None, ""),
        ("", ""),
        ("0", "0"),
        ("77", "77"),
        ("-1", "-1"),
        ("\u0661\u0663", "\u0661\u0663"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_code_is_shown_with_its_name(code: str | int | None, text: str) -> None:
    assert describe_code(code) == text


def test_what_has_no_name_says_so() -> None:
    assert (name_code(None), name_code("77"), name_code("SAFETY")) == (None, None, "SAFETY")
