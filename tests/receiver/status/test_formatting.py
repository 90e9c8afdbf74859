import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.outputs.manifest import Cost
from receiver.status import formatting


def test_examples_are_true() -> None:
    assert doctest.testmod(formatting).failed == 0


@given(st.text(st.characters()))
def test_any_text_becomes_one_harmless_line(text: str) -> None:
    shown = formatting.clean(text)
    shown.encode()
    assert all(one.isprintable() or one in formatting.JOINERS for one in shown)


@pytest.mark.parametrize("text", ["translations de→fr", "日本語", "👩\u200d💻"])
def test_names_of_all_languages_stay(text: str) -> None:
    assert formatting.clean(text) == text


def test_marks_that_turn_the_direction_go() -> None:
    assert formatting.clean("invoice\u202efdp.exe") == "invoice�fdp.exe"


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("0", "USD", "$0.00"),
        ("12.4812", "USD", "$12.48"),
        ("1234.5", "EUR", "1,234.50 EUR"),
        ("0.5", "USD", "$0.50"),
        ("0.0000437190", "USD", "$0.00004372"),
        ("junk", "USD", "unknown"),
        ("NaN", "USD", "unknown"),
    ],
)
def test_money_is_rounded_to_what_is_compared(amount: str, currency: str, shown: str) -> None:
    assert formatting.money(Cost(currency, amount, "2026-10-07", "0", "0", "0")) == shown


def test_money_says_what_is_not_known() -> None:
    assert (formatting.money("unknown"), formatting.money(None)) == ("unknown", "")


@pytest.mark.parametrize("text", [None, "", "soon", "2026-13-01T00:00:00Z"])
def test_what_is_no_moment_is_none(text: str | None) -> None:
    assert formatting.read_moment(text) is None


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999Z", "1969-12-31T00:00:00Z"]
)
def test_odd_moments_are_still_shown(text: str) -> None:
    ms = formatting.read_moment(text)
    assert ms is not None
    assert formatting.moment(ms) >= "1970"
    assert formatting.date_and_time(10**30).startswith("9999-12-31")
