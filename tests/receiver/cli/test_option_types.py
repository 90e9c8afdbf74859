from decimal import Decimal

import click
import pytest

from receiver.cli.option_types import Dollars, Duration


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("30h", 108_000), ("2d", 172_800)])
def test_span_of_time_is_seconds(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "30", "0h", "-1h", "1w", "h", "30 h"])
def test_what_is_no_span_says_what_would_be(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected 90m, 30h or 2d"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize("text", ["2.50", "$2.50"])
def test_amount_is_exact(text: str) -> None:
    assert Dollars().convert(text, None, None) == Decimal("2.50")


@pytest.mark.parametrize("text", ["", "0", "-1", "NaN", "Infinity", "two", "2,50"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no amount of US dollars"):
        Dollars().convert(text, None, None)
