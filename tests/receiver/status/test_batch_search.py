"""What the address of the list of batches says is what is looked for."""

import pytest

from receiver.inbox.finding import LAST_MS, WANTED_OUTCOMES, BatchFilter
from receiver.status.batch_search import DAY_MS, FIELDS, OUTCOME_WORDS, START, read_search

EVERYTHING = {
    "q": "  night   run ",
    "state": "done",
    "outcome": "error",
    "project": "acme",
    "model": "flash",
    "from": "1970-01-02",
    "to": "1970-01-03",
    "sort": "oldest",
}


def test_empty_address_asks_for_all() -> None:
    search = read_search({})
    assert search.wanted == BatchFilter()
    assert (search.cursor, search.key_cursor, search.faults) == ("", None, [])
    assert not search.is_filtered
    assert search.address() == "/status/batches"
    assert list(search.describe()) == []


def test_every_field_is_read_and_said() -> None:
    assert EVERYTHING.keys() == set(FIELDS)
    search = read_search(EVERYTHING)
    assert search.wanted == BatchFilter(
        text="night run",
        state="done",
        outcome="error",
        project="acme",
        model="flash",
        since_ms=DAY_MS,
        until_ms=3 * DAY_MS - 1,
        order="oldest",
    )
    assert search.is_filtered
    assert search.is_narrowed
    assert list(search.describe()) == [
        "“night run” in the name, the id or the cause",
        "state stored",
        "with error requests",
        "project acme",
        "a model with “flash” in its name",
        "not before 1970-01-02",
        "not after 1970-01-03",
    ]


def test_moments_and_the_default_project_are_read() -> None:
    search = read_search(
        {"project": "default", "from": "1970-01-01T00:00:01Z", "to": "1970-01-01T00:00:02+00:00"}
    )
    wanted = search.wanted
    assert (wanted.project, wanted.since_ms, wanted.until_ms) == ("", 1_000, 2_000)
    assert "project default" in search.describe()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("state", "stored"),
        ("outcome", "ok"),
        ("project", "No such"),
        ("from", "soon"),
        ("to", "2026-13-01"),
        ("sort", "cost"),
    ],
)
def test_what_cannot_be_understood_is_named_and_left_out(name: str, text: str) -> None:
    search = read_search({"q": "x", name: text})
    assert search.wanted == BatchFilter(text="x")
    (fault,) = search.faults
    assert fault.startswith(f"{name} is no")
    assert fault.endswith(f": {text}")
    assert search.address() == "/status/batches?q=x"


def test_long_and_far_values_harm_nothing() -> None:
    search = read_search({"q": "x" * 5000, "to": "9999-12-31", "after": "y", "keys": "z"})
    assert len(search.wanted.text) == 300
    assert search.wanted.until_ms <= LAST_MS
    assert (search.cursor, search.key_cursor) == ("y", "z")


def test_addresses_keep_what_they_do_not_change() -> None:
    search = read_search({"q": "a&b", "state": "done", "after": "cursor", "keys": "k"})
    assert search.address() == "/status/batches?q=a%26b&state=done"
    assert search.address(state="") == "/status/batches?q=a%26b"
    assert search.address(after="c2") == "/status/batches?q=a%26b&state=done&after=c2"
    assert read_search({"keys": START}).key_cursor == ""


def test_sorting_is_no_filter() -> None:
    search = read_search({"sort": "oldest"})
    assert not search.is_filtered
    assert search.is_narrowed


def test_every_outcome_has_its_words() -> None:
    assert tuple(OUTCOME_WORDS) == WANTED_OUTCOMES
