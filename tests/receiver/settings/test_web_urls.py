import doctest

import pytest

from receiver.settings import web_urls
from receiver.settings.web_urls import (
    is_private_on_its_way,
    is_same_url,
    origin_of,
    parse_origin,
    parse_web_url,
    path_of,
)

DOOR = "https://batches.example.com/webhooks/gemini"


def test_examples_hold() -> None:
    assert doctest.testmod(web_urls).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DOOR, DOOR),
        ("https://batches.example.com", "https://batches.example.com"),
        ("https://batches.example.com/", "https://batches.example.com"),
        ("https://batches.example.com/path/", "https://batches.example.com/path/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
    ],
)
def test_right_address_is_kept(text: str, expected: str) -> None:
    assert parse_web_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "batches.example.com",
        "http://batches.example.com",
        "http://127.0.0.1.example.com",
        "ftp://batches.example.com",
        "https://",
        "https://user:password@batches.example.com",
        "https://batches.example.com?token=x",
        "https://batches.example.com/#x",
        "https://batches.example.com:99999",
        "https://batches.example.com:x",
        "https://[::1",
        "https://batches.example.com/a\nb",
        "https://batches.example.com/a b",
        "https://batches.example.com\\.evil.example/x",
        "https://bätches.example.com",
    ],
)
def test_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected https") as told:
        parse_web_url(text)
    assert "password" not in str(told.value)


def test_origin_has_no_path() -> None:
    assert parse_origin("") is None
    assert parse_origin("https://batches.example.com/") == "https://batches.example.com"
    with pytest.raises(ValueError, match="without a path"):
        parse_origin(DOOR)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://BATCHES.example.com:443/webhooks/gemini", True),
        (f"{DOOR}/", False),
        (f"{DOOR}?x=1", False),
        (f"{DOOR}/acme", False),
        ("https://batches.example.com:444/webhooks/gemini", False),
        ("http://batches.example.com/webhooks/gemini", False),
        ("https://batches.example.com/Webhooks/gemini", False),
        ("not an address", False),
    ],
)
def test_same_door_is_known(other: str, *, same: bool) -> None:
    assert is_same_url(DOOR, other) is same


def test_no_address_is_nobodys() -> None:
    assert not is_same_url("nonsense", "nonsense")
    assert (origin_of("nonsense"), path_of("nonsense"), is_private_on_its_way("nonsense")) == (
        None,
        "",
        False,
    )
    assert origin_of("http://[::1]:8000/x") == "http://[::1]:8000"
