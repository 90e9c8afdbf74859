"""An address leads to its result, whatever the key holds."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from receiver.status.answer_links import is_addressable, result_path

PATH = "/status/batches/abc"


@pytest.mark.parametrize(
    "key", ["k", "a/b.c", "ä ö", "?a=b&c#d%2e", "😀", "..a", "a:b", "x" * 300, '<"&'], ids=repr
)
def test_key_stands_in_the_path(key: str) -> None:
    address = urlsplit(result_path(PATH, key))
    assert unquote(address.path) == f"{PATH}/results/{key}"
    assert not address.query + address.fragment


@pytest.mark.parametrize(
    "key", ["", ".", "..", "a/../b", "/a", "a/", "a//b", "a\n", "\u202e", "\ud800", "x" * 301]
)
def test_key_that_no_path_can_hold_stands_in_the_query(key: str) -> None:
    assert not is_addressable(key)
    address = urlsplit(result_path(PATH, key))
    assert address.path == f"{PATH}/results/"
    assert parse_qs(address.query, keep_blank_values=True)["key"] == [key.replace("\ud800", "?")]
    assert result_path(PATH, key, 7, "error") == f"{PATH}/results/?line=7&outcome=error"


def test_line_and_outcome_are_kept() -> None:
    assert result_path(PATH, "k", 7, "failed") == f"{PATH}/results/k?line=7&outcome=failed"
    assert result_path(PATH, None, 7) == f"{PATH}/results/?line=7"
