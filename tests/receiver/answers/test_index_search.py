"""Rows are found in a stored index without reading more of it than needed."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from receiver.answers.index_rows import IndexRow, StoredRow, encode_rows
from receiver.answers.index_search import IndexSearch
from receiver.answers.packed_lines import BLOCK_BYTES, SearchLimitError, SearchLimits
from receiver.errors import StorageError
from receiver.outputs.paths import index_name
from receiver.storage import LocalStorage

ROWS = 9_000  # over a block of the index
FAILED = {"error", "malformed"}
NASTY = ["", '"', "\\", 'a","outcome":"error"', "ö/../\u2028", "\x7f\x01", "😀" * 300_000, "ok"]


def row(line: int, key: str | None, outcome: str = "ok") -> IndexRow:
    return IndexRow(line, key, outcome, f"b1/{line}.json", 0, 9, "0" * 64)


def put_index(storage: LocalStorage, rows: list[IndexRow]) -> None:
    storage.put_many([(index_name("b1"), gzip.compress(encode_rows(rows), 1))])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    """Every third line of the source is blank, and each thousandth row is an error."""
    storage = LocalStorage(tmp_path_factory.mktemp("many"))
    rows = [
        row(number * 3, f"k{number}", "error" if number % 1000 == 0 else "ok")
        for number in range(1, ROWS + 1)
    ]
    assert len(encode_rows(rows)) > BLOCK_BYTES
    put_index(storage, rows)
    return storage


def lines_of(rows: list[StoredRow]) -> list[int]:
    return [one.line for one in rows]


@pytest.mark.parametrize("number", [1, 2, ROWS - 1, ROWS])
def test_row_is_found_by_key_and_by_line(many: LocalStorage, number: int) -> None:
    search = IndexSearch(many, "b1")
    found = search.find_key(f"k{number}")
    assert found is not None
    assert found.line == number * 3
    assert search.find_line(number * 3) == found
    assert search.find_line(number * 3 - 1) is None
    assert search.find_key(f"k{number}0000") is None


@pytest.mark.parametrize("more", [[], ["\ud800"]], ids=["utf-8", "ascii"])
def test_any_key_is_found(tmp_path: Path, more: list[str]) -> None:
    storage = LocalStorage(tmp_path)
    keys = [*NASTY, *more]
    put_index(storage, [row(line, key) for line, key in enumerate(keys, 1)])
    search = IndexSearch(storage, "b1")
    assert [found.line for key in keys if (found := search.find_key(key))] == list(
        range(1, len(keys) + 1)
    )
    assert search.read_page(0, FAILED, 9).rows == []


def test_answer_comes_before_the_line_that_says_why_not(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    outcomes = ["duplicate", "error", "malformed", "ok"]
    for count, line in [(1, 1), (2, 2), (3, 2), (4, 4)]:
        put_index(storage, [row(at + 1, "k", outcomes[at]) for at in range(count)])
        found = IndexSearch(storage, "b1").find_key("k")
        assert found is not None
        assert found.line == line


def test_pages_follow_a_line_and_hold_what_is_wanted(many: LocalStorage) -> None:
    search = IndexSearch(many, "b1")
    first = search.read_page(0, (), 2)
    assert (lines_of(first.rows), first.has_more) == ([3, 6], True)
    last = search.read_page((ROWS - 1) * 3, (), 2)
    assert (lines_of(last.rows), last.has_more) == ([ROWS * 3], False)
    assert search.read_page(ROWS * 3, (), 2).rows == []
    errors = search.read_page(3000, FAILED, 8)
    assert lines_of(errors.rows) == list(range(6000, 27_001, 3000))
    assert (errors.has_more, search.read_page(3000, FAILED, 7).has_more) == (False, True)


@pytest.mark.parametrize(
    ("line", "outcomes", "around"),
    [
        (3, (), (None, 6)),
        (12_000, (), (11_997, 12_003)),
        (ROWS * 3, (), (ROWS * 3 - 3, None)),
        (3, FAILED, (None, 3000)),
        (3000, FAILED, (None, 6000)),
        (26_000, FAILED, (24_000, 27_000)),
        (27_000, FAILED, (24_000, None)),
        (27_000, {"duplicate"}, (None, None)),
    ],
)
def test_neighbours_are_the_next_that_are_wanted(
    many: LocalStorage, line: int, outcomes: Any, around: tuple[int | None, int | None]
) -> None:
    found = IndexSearch(many, "b1").find_neighbours(line, outcomes)
    assert (
        found.before and found.before.line,
        found.after and found.after.line,
    ) == around


def test_search_ends_at_its_limits(many: LocalStorage) -> None:
    narrow = IndexSearch(many, "b1", SearchLimits(BLOCK_BYTES, 60))
    assert narrow.find_key("k1")
    with pytest.raises(SearchLimitError, match=r"1 MiB of b1/_index\.jsonl\.gz were looked"):
        narrow.find_key(f"k{ROWS}")
    page = narrow.read_page(0, FAILED, 20)
    assert (page.has_more, page.is_cut, lines_of(page.rows)[0]) == (False, True, 3000)
    with pytest.raises(SearchLimitError):
        IndexSearch(many, "b1", SearchLimits(1e9, -1)).find_key("k1")


def test_what_is_no_index_is_an_error(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    search = IndexSearch(storage, "b1")
    with pytest.raises(StorageError, match="is the batch stored"):
        search.find_key("k")
    whole = gzip.compress(encode_rows([row(1, "k")]))
    spoilt = [
        (whole[:-9], "is no whole gzip file"),
        (b"rows", "is no whole gzip file"),
        (gzip.compress(b'{"key":"k"}\n'), "can't be read.*verify b1"),
    ]
    for data, words in spoilt:
        storage.put_many([(index_name("b1"), data)])
        with pytest.raises(StorageError, match=words):
            search.find_key("k")


def test_spaces_in_a_row_change_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    text = json.dumps(
        {"line": 1, "key": "k", "outcome": "error", "object": "o", "offset": 0}
        | {"length": 1, "sha256": "0"}
    )
    storage.put_many([(index_name("b1"), gzip.compress(text.encode()))])
    search = IndexSearch(storage, "b1")
    assert search.find_key("k") == search.find_line(1) == search.read_page(0, FAILED, 1).rows[0]
