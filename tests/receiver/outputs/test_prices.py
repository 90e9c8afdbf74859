import json
from decimal import Decimal
from pathlib import Path

import pytest

from receiver.errors import SettingsError
from receiver.outputs.price_table import PRICES
from receiver.outputs.prices import Price, default_prices, parse_prices
from receiver.settings.settings import read_settings


def listed(**price: object) -> bytes:
    return json.dumps({"date": "2026-11-01", "models": {"m": [{"input": "1", **price}]}}).encode()


def test_default_list_is_dated() -> None:
    prices = default_prices()
    assert prices.date == PRICES["date"] >= "2026-11-28"
    assert prices.source == "litellm 1.110.2 and genai-prices 0.2.3"
    assert prices.find("models/gemini-2.5-pro", "2026-10-07") == Price(
        Decimal("0.625"),
        Decimal("5.00"),
        Decimal("0.125"),
        parse_prices(listed(long={"input": "1.25", "output": "7.50", "cached": "0.25"}))
        .models["m"][0]
        .long,
    )


@pytest.mark.parametrize(
    ("day", "price"), [("2026-12-31", "0.375"), ("2027-01-01", "0.75"), ("2031-05-05", "0.75")]
)
def test_price_is_that_of_the_day(day: str, price: str) -> None:
    found = default_prices().find("gemini-3.8-flash", day)
    assert found is not None
    assert found.input == Decimal(price)


def test_price_that_ends_is_unknown_from_then_on() -> None:
    prices = parse_prices(
        json.dumps(
            {
                "date": "2026-11-01",
                "models": {"m": [{"input": 1}, {"from": "2027-01-01", "input": None}]},
            }
        ).encode()
    )
    found = prices.find("m", "2027-01-01")
    assert found is not None
    assert found.input is None


@pytest.mark.parametrize(
    "model",
    [
        "gemini-9",
        "",
        "models/",
        "gemini-2.5-flash-001",
        "tunedModels/gemini-2.5-flash",
        "gemini-flash-latest",
    ],
)
def test_stranger_has_no_price(model: str) -> None:
    assert default_prices().find(model, "2026-10-07") is None


def test_price_is_not_known_before_it_begins() -> None:
    prices = parse_prices(listed(**{"from": "2026-11-02"}))
    assert prices.find("m", "2026-11-01") is None
    assert prices.find("m", "2026-11-02") is not None


@pytest.mark.parametrize("text", ["0.1", '"0.1"', "0.12345678901234567891"])
def test_price_is_never_a_float(text: str) -> None:
    data = listed(output="OUTPUT").replace(b'"OUTPUT"', text.encode())
    assert parse_prices(data).models["m"][0].output == Decimal(text.strip('"'))


WRONG = [
    (b"", "no price list"),
    (b"[]", "expected `object`"),
    (b"[" * 100_000, "no price list"),
    (b'{"date": "today", "models": {}}', r"\$.date"),
    (listed(output=-1), "m: a price is a number from 0 on"),
    (listed(output="null"), "Invalid decimal string"),
    (listed(output="NaN"), "from 0 on"),
    (
        listed(output={"AUDIO": "1"}),
        "m: a price by modality needs '\\*', and may have AUDIO, DOCUMENT, IMAGE, TEXT, VIDEO$",
    ),
    (listed(output={"*": "1", "SMELL": "1"}), "by modality"),
    (listed(long={"input": "-1"}), "m: a price is a number from 0 on"),
    (listed(otput="1"), "unknown field `otput`"),
]


@pytest.mark.parametrize(("data", "words"), WRONG)
def test_wrong_list_stops_the_start(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=f"(?i)PRICES_FILE: .*{words}"):
        read_settings({"GEMINI_API_KEY": "k", "PRICES_FILE": str(path)})


def test_price_may_be_0() -> None:
    found = parse_prices(listed(output=0, cached={"*": "0"})).models["m"][0]
    assert found.output == Decimal(0)
    assert found.cached == {"*": Decimal(0)}


def test_absent_list_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PRICES_FILE: expected the name of a JSON file"):
        read_settings({"GEMINI_API_KEY": "k", "PRICES_FILE": str(tmp_path / "none.json")})


def test_list_of_ones_own_wins(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(listed())
    prices = read_settings({"GEMINI_API_KEY": "k", "PRICES_FILE": str(path)}).prices
    assert (prices.date, list(prices.models)) == ("2026-11-01", ["m"])
