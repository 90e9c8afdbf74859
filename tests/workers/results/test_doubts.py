import pytest

from receiver.outputs.outcomes import Outcome
from workers.results.doubts import (
    PAUSES,
    LineCounts,
    ReadingSeries,
    ResultReading,
    find_doubt,
    plan_next_reading_s,
)

BASE_S = 5.0
WHOLE_S = sum(PAUSES) * BASE_S


@pytest.mark.parametrize(
    ("state", "expected", "failed", "lines", "strays", "bare_errors", "is_cut", "doubt"),
    [
        ("SUCCEEDED", 3, 0, 3, 0, 0, False, None),
        ("SUCCEEDED", 3, 0, 4, 0, 0, False, None),
        ("SUCCEEDED", 0, 0, 0, 0, 0, False, None),
        ("SUCCEEDED", None, 0, 3, 0, 0, False, None),
        ("SUCCEEDED", 3, 0, 2, 0, 0, False, "Gemini says 3 results, 2 came"),
        ("SUCCEEDED", 3, 0, 0, 0, 0, False, "Gemini says 3 results, 0 came"),
        ("SUCCEEDED", 3, 3, 0, 0, 0, False, "Gemini says 3 results, 0 came"),
        ("SUCCEEDED", None, 0, 0, 0, 0, False, "it is empty"),
        ("SUCCEEDED", 3, 0, 3, 3, 0, False, "not one of its 3 lines is a result"),
        ("SUCCEEDED", 3, 0, 40, 40, 0, False, "not one of its 40 lines is a result"),
        ("SUCCEEDED", None, 0, 40, 40, 0, True, "not one of its 40 lines is a result"),
        ("SUCCEEDED", 0, 0, 6, 6, 0, False, "not one of its 6 lines is a result"),
        ("SUCCEEDED", None, 0, 40, 39, 0, False, "39 of its 40 lines are no results"),
        ("SUCCEEDED", 100, 0, 110, 50, 0, False, "Gemini says 100 results, 60 came"),
        ("SUCCEEDED", 100, 0, 105, 5, 0, False, None),
        ("SUCCEEDED", 1, 0, 1, 0, 1, False, "not one of its 1 lines is a result"),
        ("SUCCEEDED", 1, 1, 1, 0, 1, False, None),
        ("SUCCEEDED", 5, 2, 5, 0, 2, False, None),
        ("SUCCEEDED", 5, 1, 5, 0, 2, False, "Gemini says 5 results, 4 came"),
        ("SUCCEEDED", 3, 0, 3, 1, 0, True, "it ends within a line"),
        ("CANCELLED", 3, 0, 2, 0, 0, False, None),
        ("EXPIRED", 3, 0, 0, 0, 0, False, None),
        ("FAILED", None, 0, 0, 0, 0, False, None),
        ("CANCELLED", 3, 0, 3, 1, 0, True, "it ends within a line"),
        ("EXPIRED", 3, 0, 8, 8, 0, False, "not one of its 8 lines is a result"),
    ],
)
def test_reading_that_looks_wrong_is_doubted(  # noqa: PLR0913, PLR0917 - a row of the table
    state: str,
    expected: int | None,
    failed: int,
    lines: int,
    strays: int,
    bare_errors: int,
    is_cut: bool,  # noqa: FBT001 - a row of the table
    doubt: str | None,
) -> None:
    assert (
        find_doubt(ResultReading(state, expected, failed, lines, strays, bare_errors, is_cut))
        == doubt
    )


def test_lines_that_may_hold_no_result_are_counted() -> None:
    counts = LineCounts()
    lines: list[tuple[str | None, Outcome, bytes]] = [
        (None, Outcome.MALFORMED, b"<html>"),
        (None, Outcome.MALFORMED, b"</html>"),
        (None, Outcome.MALFORMED, b"{"),
        (None, Outcome.MALFORMED, b"}"),
        (None, Outcome.UNKEYED, b'{"error":{}}'),
        (None, Outcome.UNKEYED, b'{"error":{"code":3}}'),
        (None, Outcome.UNKEYED, b'{"response":{}}'),
        ("k", Outcome.DUPLICATE, b"{}"),
        ("k", Outcome.DUPLICATE, b"{}"),
        ("k", Outcome.MALFORMED, b"{}"),
        ("k", Outcome.ERROR, b"{}"),
    ]
    for key, outcome, line in lines:
        counts.add(key, outcome, line)
    assert counts == LineCounts(strays=4, bare_errors=2, repeated=2)


@pytest.mark.parametrize(
    ("lines", "repeated", "doubt"),
    [
        (3, 1, "Gemini says 3 results, 2 came"),
        (4, 1, None),
        (6, 3, None),
        (4, 2, "Gemini says 3 results, 2 came"),
    ],
)
def test_repeated_line_stands_for_no_other(lines: int, repeated: int, doubt: str | None) -> None:
    reading = ResultReading("SUCCEEDED", 3, 0, lines, 0, 0, is_cut=False, repeated=repeated)
    assert find_doubt(reading) == doubt


@pytest.mark.parametrize(
    ("readings", "same", "same_s", "delay_s"),
    [
        (1, 1, 0, 30),
        (2, 2, 30, 120),
        (3, 3, 150, 300),
        (4, 4, WHOLE_S, None),
        (4, 4, WHOLE_S - 1, 300),  # a second delivery made it due early
        (9, 9, 20, 300),
        (3, 3, 5000, 300),  # no worker was there for long
        (2, 1, 0, 120),  # another content: the first was wrong
        (5, 4, WHOLE_S, None),
        (200, 1, 0, 300),
    ],
)
def test_same_bytes_must_come_often_and_for_long(
    readings: int, same: int, same_s: float, delay_s: float | None
) -> None:
    assert plan_next_reading_s(ReadingSeries(readings, same, same_s), BASE_S) == delay_s
