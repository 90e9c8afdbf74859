from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.answers.index_rows import StoredRow
from workers.submissions.request_table import Remedy, RequestTable

KEYS = ("k1", "k2", "k3", "long" * 50, "ä\ud800")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[RequestTable]:
    with RequestTable(tmp_path) as table:
        table.add_requests(KEYS, 1, Remedy.AGAIN)
        yield table


def row(line: int, key: str | None, outcome: str, name: str = "o") -> StoredRow:
    return StoredRow(line, key, outcome, f"{name}/{line}", 0, 2, "00")


def told(table: RequestTable) -> list[tuple[str | None, int | None, str | None]]:
    return [(one.outcome, one.try_number, one.object) for one in table.finals()]


def remedies(table: RequestTable, number: int) -> list[Remedy]:
    return [table.remedy(number, key) for key in KEYS]


def test_requests_without_a_line_are_missing(table: RequestTable) -> None:
    table.add_results(1, [(row(1, "k2", "ok"), None)])
    assert told(table) == [(None, 1, None), ("ok", 1, "o/1"), *[(None, 1, None)] * 3]
    assert table.outcomes() == {"missing": 4, "ok": 1}
    again = Remedy.AGAIN
    assert remedies(table, 1) == [again, Remedy.NONE, again, again, again]


def test_each_outcome_has_its_remedy(table: RequestTable) -> None:
    lines = [
        (row(1, KEYS[0], "truncated"), None),
        (row(2, KEYS[1], "blocked"), None),
        (row(3, KEYS[2], "ok"), "it breaks the schema"),
        (row(4, KEYS[3], "error"), None),
        (row(5, KEYS[4], "empty"), None),
    ]
    table.add_results(1, lines)
    table.add_retries(1, [KEYS[4]])
    expected = [Remedy.WIDER, Remedy.NONE, Remedy.EXPLAINED, Remedy.NONE, Remedy.AGAIN]
    assert remedies(table, 1) == expected
    assert (table.fault(KEYS[2]), table.fault(KEYS[0])) == ("it breaks the schema", None)
    assert [one.outcome for one in table.finals()] == [
        "truncated",
        "blocked",
        "invalid",
        "error",
        "empty",
    ]
    assert table.open_tries() == [1]


def test_last_line_that_answers_is_final(table: RequestTable) -> None:
    table.add_results(1, [(row(1, "k1", "error"), None), (row(2, "k2", "ok"), None)])
    table.begin_try(["k1", "k2"], 2, Remedy.AGAIN)
    table.add_results(2, [(row(1, "k1", "ok", "p"), None), (row(2, "k2", "ok", "p"), None)])
    assert told(table)[:2] == [("ok", 2, "p/1"), ("ok", 2, "p/2")]


@pytest.mark.parametrize("outcome", ["error", "blocked", "truncated", "empty", "malformed"])
def test_failed_try_undoes_no_answer(table: RequestTable, outcome: str) -> None:
    table.add_results(1, [(row(1, "k1", "ok"), None), (row(2, "k2", "ok"), "no JSON")])
    table.begin_try(["k1", "k2"], 2, Remedy.AGAIN)
    table.add_results(2, [(row(1, "k1", outcome), None), (row(2, "k2", outcome), None)])
    assert told(table)[:2] == [("ok", 1, "o/1"), ("invalid", 1, "o/2")]
    assert table.remedy(2, "k1") == Remedy.NONE


def test_answer_that_fits_takes_the_place_of_one_that_does_not(table: RequestTable) -> None:
    table.add_results(1, [(row(1, "k1", "ok"), "no JSON")])
    table.begin_try(["k1"], 2, Remedy.AGAIN)
    table.add_results(2, [(row(1, "k1", "ok", "p"), None)])
    table.begin_try(["k1"], 3, Remedy.AGAIN)
    table.add_results(3, [(row(1, "k1", "ok", "q"), "no JSON")])
    assert told(table)[0] == ("ok", 2, "p/1")


def test_last_try_is_final_where_nothing_answers(table: RequestTable) -> None:
    table.add_results(1, [(row(1, "k1", "error"), None), (row(2, "k2", "error"), None)])
    table.begin_try(["k1", "k2"], 2, Remedy.NONE)
    table.add_results(2, [(row(1, "k1", "empty", "p"), None)])
    assert told(table)[:2] == [("empty", 2, "p/1"), (None, 2, None)]
    assert table.remedy(2, "k2") == table.remedy(1, "k2") == Remedy.NONE


def test_lines_that_belong_to_no_request_of_the_try_count_for_nothing(table: RequestTable) -> None:
    table.add_results(1, [(row(1, "k1", "ok"), None), (row(2, "k1", "duplicate"), None)])
    table.begin_try(["k2", "unknown"], 2, Remedy.AGAIN)
    strays = [row(1, None, "unkeyed"), row(2, "unknown", "ok"), row(3, "k1", "error")]
    table.add_results(2, [(one, None) for one in [*strays, row(4, "k3", "ok", "p")]])
    assert told(table)[:3] == [("ok", 1, "o/1"), (None, 2, None), (None, 1, None)]
    assert table.outcomes() == {"missing": 4, "ok": 1}


def test_broken_line_before_the_answer_is_forgotten(table: RequestTable) -> None:
    table.add_results(1, [(row(1, "k1", "malformed"), None), (row(2, "k1", "ok"), None)])
    assert told(table)[0] == ("ok", 1, "o/2")


def test_request_that_was_never_sent_has_no_try(tmp_path: Path) -> None:
    with RequestTable(tmp_path) as table:
        table.add_requests(["k1"], None)
        assert told(table) == [(None, None, None)]
        assert (table.open_tries(), table.outcomes()) == ([], {"missing": 1})
