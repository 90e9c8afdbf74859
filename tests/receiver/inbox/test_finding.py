"""What is looked for in the inbox is found, page by page, in a real Valkey."""

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
import redis

from receiver.inbox import finding
from receiver.inbox.entries import Entry, State, fetch_entries
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.finding import WANTED_OUTCOMES, BatchFilter, Order, find_batches
from receiver.inbox.redis import (
    BATCHES,
    BURIED,
    DONE,
    DUE,
    ENTRY,
    SUBMISSIONS,
    LedgerKeys,
    Scripts,
)

SECOND_MS = 1000
EVERYTHING = BatchFilter()


def put(  # noqa: PLR0913, PLR0917 - an entry has as much
    client: "redis.Redis",
    name: str,
    state: State = "done",
    at_ms: int = SECOND_MS,
    summary: Summary | None = None,
    ledger: LedgerKeys = BATCHES,
    **fields: str | int,
) -> None:
    """An entry as the ledger writes it; `at_ms` is its score, and when it was accepted."""
    key = {"buried": ledger.buried, "done": ledger.done}.get(state, ledger.due)
    client.zadd(key, {name: at_ms})
    encoded = "" if summary is None else msgspec.json.encode(summary).decode()
    entry: dict[Any, Any] = {
        "state": state,
        "event": "batch.succeeded",
        "door": "static",
        "attempts": 0,
        "waits": 0,
        "accepted": at_ms,
        "changed": at_ms,
        "summary": encoded,
    }
    client.hset(ledger.entry + name, mapping=entry | fields)


def names(client: "redis.Redis", limit: int = 50, **wanted: Any) -> list[str]:
    """Without the folder, which all share."""
    found = find_batches(client, BatchFilter(**wanted), limit)
    assert found.cursor == ""
    return [entry.batch.removeprefix("batches/") for entry in found.entries]


def pages(
    client: "redis.Redis", limit: int, wanted: BatchFilter = EVERYTHING
) -> Iterator[list[str]]:
    """Every page up to the last, which has no cursor."""
    cursor = ""
    for _ in range(100):
        found = find_batches(client, wanted, limit, cursor)
        yield [entry.batch.removeprefix("batches/") for entry in found.entries]
        cursor = found.cursor
        if not cursor:
            return
    raise AssertionError("the cursor goes in a circle")


def test_nothing_is_found_in_an_empty_inbox(client: "redis.Redis") -> None:
    found = find_batches(client, BatchFilter(), 10)
    assert (found.entries, found.looked, found.cursor) == ([], 0, "")
    assert found.now_ms > 0


def fill(client: "redis.Redis") -> None:
    put(client, "batches/soon", "open", 5_000)
    put(client, "batches/held", "leased", 6_000)
    put(client, "batches/d1", "done", 1_000)
    put(client, "batches/b2", "buried", 2_000)
    put(client, "batches/d3", "done", 3_000)
    put(client, "batches/b4", "buried", 4_000)


def test_pending_ones_come_first_and_the_others_by_when_they_ended(client: "redis.Redis") -> None:
    fill(client)
    assert names(client) == ["soon", "held", "b4", "d3", "b2", "d1"]
    assert names(client, order="oldest") == ["soon", "held", "d1", "b2", "d3", "b4"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("order", get_args(Order))
def test_pages_go_on_where_the_one_before_ended(
    client: "redis.Redis", limit: int, order: Order
) -> None:
    fill(client)
    wanted = BatchFilter(order=order)
    found = list(pages(client, limit, wanted))
    assert [len(page) for page in found] == [limit] * (6 // limit) + [6 % limit] * (6 % limit > 0)
    assert [name for page in found for name in page] == names(client, order=order)


@pytest.mark.parametrize(
    ("state", "expected"),
    [("open", ["soon"]), ("leased", ["held"]), ("buried", ["b4", "b2"]), ("done", ["d3", "d1"])],
)
def test_each_state_is_found_alone(
    client: "redis.Redis", state: State, expected: list[str]
) -> None:
    fill(client)
    assert names(client, state=state) == expected


def test_only_what_may_hold_it_is_gone_through(client: "redis.Redis") -> None:
    fill(client)

    def looked(wanted: BatchFilter) -> int:
        return find_batches(client, wanted, 10).looked

    assert looked(BatchFilter()) == 6
    assert looked(BatchFilter(state="leased")) == 2
    assert looked(BatchFilter(outcome="error")) == 2
    assert looked(BatchFilter(model="flash")) == 2
    assert looked(BatchFilter(state="open", model="flash")) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("night", ["named", "run"]),
        ("NIGHT", ["named", "run"]),
        ("the night run", ["named"]),
        ("quota", ["stuck"]),
        ("tuck", ["stuck"]),
        ("Tuck", ["stuck"]),
        ("batches/st", ["stuck"]),
        ("über", ["accent"]),
        ("ÜBER", ["accent"]),
        ('"a\\b"', ["accent"]),
        ("é", ["half"]),
        ("%", []),
        (".", []),
        ("~", []),
        ("flash", []),
        ("\udcff", []),
    ],
)
def test_text_is_looked_for_in_names_and_causes(
    client: "redis.Redis", text: str, expected: list[str]
) -> None:
    progress = msgspec.json.encode(JobProgress(stage="ask", display_name="Night shift")).decode()
    put(client, "batches/run", "leased", progress=progress)
    put(client, "batches/named", summary=Summary(display_name="The Night Run", model="flash~"))
    put(client, "batches/accent", summary=Summary(display_name='Überblick "a\\b"'))
    put(client, "batches/stuck", "buried", cause="Quota of 3")
    half = json.dumps({"display_name": "É \U0001f600 \ud83d"})  # as the ledger writes it
    put(client, "batches/half", at_ms=1, summary=Summary())
    client.hset(f"{ENTRY}batches/half", "summary", half)
    assert sorted(names(client, text=text)) == expected


def test_projects_are_told_apart(client: "redis.Redis") -> None:
    for name in ("batches/own", "acme/batches/theirs", "acme2/batches/others"):
        put(client, name)
    assert names(client, project="") == ["own"]
    assert names(client, project="acme") == ["acme/batches/theirs"]
    assert len(names(client)) == 3


def test_model_is_a_part_of_its_name(client: "redis.Redis") -> None:
    put(client, "batches/flash", summary=Summary(model="models/gemini-3.5-Flash"))
    put(client, "batches/pro", summary=Summary(model="models/gemini-3.5-pro"))
    put(client, "batches/unknown", summary=Summary(display_name="flash"))
    assert names(client, model="flASH") == ["flash"]
    assert sorted(names(client, model="models/g")) == ["flash", "pro"]
    assert sorted(names(client, model="gemini-3.5")) == ["flash", "pro"]
    assert names(client, model="\udcff") == []


SUMMARIES = {
    "well": Summary(outcomes={"ok": 3}, missing=0),
    "some": Summary(outcomes={"ok": 3, "error": 1}, problems=["1 result is no answer: 1 error"]),
    "gone": Summary(expired="it ended long ago"),
    "less": Summary(outcomes={"ok": 3, "blocked": 0}, missing=2, problems=["2 of 5", "2 of 5"]),
}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("well", ["odd", "quoted", "well"]),
        ("unwell", ["gone", "less", "some", "spaced"]),
        ("expired", ["gone"]),
        ("missing", ["less"]),
        ("error", ["some", "spaced"]),
        ("blocked", []),
        ("truncated", []),
        ("nosuch", []),
    ],
)
def test_stored_batches_are_found_by_their_outcome(
    client: "redis.Redis", outcome: str, expected: list[str]
) -> None:
    for name, summary in SUMMARIES.items():
        put(client, f"batches/{name}", summary=summary)
    put(client, "batches/open", "open")
    spaced = json.dumps({"outcomes": {"error": 12}, "display_name": "\ud83d", "problems": ["x"]})
    put(client, "batches/spaced")
    client.hset(f"{ENTRY}batches/spaced", "summary", spaced)
    quoted = Summary(display_name='"problems":["x"],"expired":"x","error":3,"missing":4')
    put(client, "batches/quoted", summary=quoted)
    odd = '{"problems": 1, "outcomes": [], "missing": null, "expired": null, "model": null}'
    put(client, "batches/odd")
    client.hset(f"{ENTRY}batches/odd", "summary", odd)
    assert sorted(names(client, outcome=outcome)) == expected


def test_time_bounds_are_included(client: "redis.Redis") -> None:
    for state, at_ms in itertools.product(get_args(State), range(1_000, 6_000, 1_000)):
        put(client, f"batches/{state}{at_ms}", state, at_ms)
    for order in get_args(Order):
        wanted = BatchFilter(since_ms=2_000, until_ms=4_000, order=order)
        found = find_batches(client, wanted, 50)
        assert sorted(entry.batch for entry in found.entries) == sorted(
            f"batches/{state}{at_ms}" for state in get_args(State) for at_ms in (2000, 3000, 4000)
        )
        # Of ended ones, those outside are not even looked at.
        assert found.looked == 10 + 3 + 3
        assert sorted(itertools.chain(*pages(client, 2, wanted))) == sorted(
            entry.batch.removeprefix("batches/") for entry in found.entries
        )


def test_window_without_batches_is_empty(client: "redis.Redis") -> None:
    for number in range(3):
        put(client, f"batches/{number}", "done", 1_000 * number)
    for order in get_args(Order):
        for since_ms, until_ms in ((5_000, 6_000), (1_001, 1_999), (9, 8)):
            assert names(client, since_ms=since_ms, until_ms=until_ms, order=order) == []
        assert names(client, since_ms=2_000, order=order) == ["2"]
        assert names(client, until_ms=0, order=order) == ["0"]


def test_pending_ones_are_judged_by_when_they_were_accepted(client: "redis.Redis") -> None:
    put(client, "batches/later", "open", 9_000_000, accepted=1_000)
    put(client, "batches/strange", "open", 1_000, accepted="soon")
    assert names(client, since_ms=1_000, until_ms=1_000) == ["later"]
    assert names(client, until_ms=999) == []


def test_many_of_one_millisecond_are_all_found(client: "redis.Redis") -> None:
    """A person may bury thousands in one step."""
    for number in range(7):
        put(client, f"batches/{number}", "buried")
        put(client, f"batches/d{number}")
    for order in get_args(Order):
        found = list(pages(client, 3, BatchFilter(order=order)))
        assert len(found) == 5
        assert len({name for page in found for name in page}) == 14


@pytest.mark.parametrize("order", get_args(Order))
def test_page_goes_on_though_its_last_batch_has_moved(client: "redis.Redis", order: Order) -> None:
    for number in range(6):
        put(client, f"batches/{number}", "done", 1_000 * number)
    first = find_batches(client, BatchFilter(order=order), 3)
    last = first.entries[-1].batch
    for is_gone in (True, False):
        client.zrem(DONE, last)
        if not is_gone:
            client.zadd(DONE, {last: 9_999 if order == "newest" else -1})
        second = find_batches(client, BatchFilter(order=order), 3, first.cursor)
        expected = ["2", "1", "0"] if order == "newest" else ["3", "4", "5"]
        assert [entry.batch.removeprefix("batches/") for entry in second.entries] == expected
        assert second.cursor == ""


def test_what_shares_a_millisecond_with_one_that_moved_is_not_left_out(
    client: "redis.Redis",
) -> None:
    for name in "abc":
        put(client, f"batches/{name}")
    for order, rest in zip(get_args(Order), ({"b", "a"}, {"b", "c"}), strict=True):
        first = find_batches(client, BatchFilter(order=order), 1)
        client.zrem(DONE, first.entries[0].batch)
        second = find_batches(client, BatchFilter(order=order), 5, first.cursor)
        assert {one.batch.removeprefix("batches/") for one in second.entries} == rest
        client.zadd(DONE, {first.entries[0].batch: SECOND_MS})


def test_newer_ones_do_not_disturb_the_next_page(client: "redis.Redis") -> None:
    for number in range(4):
        put(client, f"batches/{number}", "done", 1_000 * number)
    first = find_batches(client, BatchFilter(), 2)
    put(client, "batches/new", "done", 9_000)
    second = find_batches(client, BatchFilter(), 2, first.cursor)
    assert [one.batch for one in second.entries] == ["batches/1", "batches/0"]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "e30",
        "bnVsbA",
        "eyJkb25lIjpbIngiLCIiXX0",
        "eyJkb25lIjpbXX0!",
        "eyJkb25lIjpbIjEuMi4zIiwiIl19",
        "ü",
        "=" * 9,
    ],
)
def test_cursor_that_is_none_begins_anew(client: "redis.Redis", cursor: str) -> None:
    fill(client)
    assert len(find_batches(client, BatchFilter(), 10, cursor).entries) == 6


def test_page_has_its_bound_and_says_how_far_it_looked(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is behind the bound is found by going on, in the order of all."""
    monkeypatch.setattr(finding, "CHUNK", 2)
    monkeypatch.setattr(finding, "MAX_LOOKED", 5)
    for number in range(20):
        put(client, f"batches/d{number}", "done", 1_000 * (number + 1))
    put(client, "batches/wanted0", "done", 10)
    put(client, "batches/wanted2", "done", 10_500)
    put(client, "batches/wanted1", "buried", 5_500)
    found, looked, cursor = list[list[str]](), list[int](), ""
    while True:
        page = find_batches(client, BatchFilter(text="wanted"), 10, cursor)
        found.append([one.batch.removeprefix("batches/") for one in page.entries])
        looked.append(page.looked)
        cursor = page.cursor
        if not cursor:
            break
    assert found == [[], [], ["wanted2"], ["wanted1"], ["wanted0"]]
    assert max(looked) <= 6
    oldest = BatchFilter(text="wanted", order="oldest")
    assert next(pages(client, 10, oldest)) == ["wanted0"]


def test_pending_ones_beyond_the_bound_come_before_ended_ones(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MAX_LOOKED", 3)
    for number in range(5):
        put(client, f"batches/o{number}", "open", 1_000 * number)
    put(client, "batches/d9", "done")
    assert list(pages(client, 10)) == [["o0", "o1", "o2"], ["o3", "o4", "d9"]]


def test_other_programs_hide_nothing(client: "redis.Redis") -> None:
    odd = b"batches/\xff"
    for key in (DUE, BURIED, DONE):
        client.zadd(key, {"batches/gone": 8_000, "batches/text": 7_000, "empty": 1})
        client.zadd(key, {odd: 9_000})
    client.set(f"{ENTRY}batches/text", "of another type")
    client.hset(ENTRY.encode() + odd, "state", "done")
    client.hset(f"{ENTRY}empty", "x", "y")
    put(client, "batches/mine", summary=Summary(display_name="night"))
    put(client, "batches/junk", "done", 500, accepted="soon")
    client.hset(f"{ENTRY}batches/junk", mapping={"summary": "[", "progress": "7"})
    assert "mine" in names(client)
    assert names(client, text="night") == ["mine"]
    assert [name for page in pages(client, 1) for name in page if name] == ["mine"]
    assert [name for page in pages(client, 2, EVERYTHING) for name in page] == ["mine"]


def test_scores_that_are_no_times_do_not_stop_the_pages(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MAX_LOOKED", 1)
    for number, score in enumerate((float("-inf"), -2.5, 1e20, float("inf"))):
        put(client, f"batches/{number}", "open")
        put(client, f"batches/d{number}")
        client.zadd(DUE, {f"batches/{number}": score})
        client.zadd(DONE, {f"batches/d{number}": score})
    for limit in (1, 2):
        assert [name for page in pages(client, limit) for name in page] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("key", [DUE, BURIED, DONE])
def test_text_in_the_place_of_a_set_hides_no_other(client: "redis.Redis", key: str) -> None:
    client.set(key, "x")
    states: dict[str, State] = {DUE: "open", BURIED: "buried", DONE: "done"}
    for other, state in states.items():
        if other != key:
            put(client, f"batches/{state}", state)
    assert len(names(client)) == 2
    answer = Scripts(client, ("find",)).run(
        "find", (DUE, BURIED, DONE).index(key) + 1, "newest", "", "", 9, 9, "{}"
    )
    assert answer == [0, 1, b"", b"", []]


@pytest.mark.parametrize(
    ("order", "place", "most", "expected"),
    [
        ("newest", "", (9, 9), [3, 1, "2000", "2", ["4", "3", "2"]]),
        ("newest", "", (2, 9), [2, 0, "3000", "3", ["4", "3"]]),
        ("newest", "", (9, 1), [1, 0, "4000", "4", ["4"]]),
        ("newest", "3", (9, 9), [1, 1, "2000", "2", ["2"]]),
        ("newest", "3", (9, 1), [1, 1, "2000", "2", ["2"]]),
        ("newest", "2", (9, 9), [0, 1, "", "", []]),
        ("oldest", "", (9, 9), [3, 1, "4000", "4", ["2", "3", "4"]]),
        ("oldest", "", (2, 9), [2, 0, "3000", "3", ["2", "3"]]),
        ("oldest", "", (9, 1), [1, 0, "2000", "2", ["2"]]),
        ("oldest", "3", (1, 1), [1, 1, "4000", "4", ["4"]]),
        ("oldest", "4", (9, 9), [0, 1, "", "", []]),
    ],
)
def test_script_gives_what_it_was_asked_for(
    client: "redis.Redis",
    order: Order,
    place: str,
    most: tuple[int, int],
    expected: list[Any],
) -> None:
    for number in range(1, 6):
        put(client, str(number), at_ms=1_000 * number)
    wanted = finding.encode_filter(BatchFilter(since_ms=2_000, until_ms=4_000))
    score = f"{place}000" if place else ""
    answer = Scripts(client, ("find",)).run("find", 3, order, score, place, *most, wanted)
    looked, is_end, score, member, names = expected
    scored = [text.encode() for name in names for text in (name, f"{name}000")]
    assert answer == [looked, is_end, score.encode(), member.encode(), scored]


def test_submissions_are_found_in_their_own_ledger(client: "redis.Redis") -> None:
    put(client, "batches/night")
    put(client, "submissions/5d41402abc4b2a76b971", "open", ledger=SUBMISSIONS, cause="no room")
    found = find_batches(client, BatchFilter(text="room"), 10, ledger=SUBMISSIONS)
    assert [entry.batch for entry in found.entries] == ["submissions/5d41402abc4b2a76b971"]


def test_it_changes_nothing(client: "redis.Redis") -> None:
    fill(client)
    before = [client.dump(key) for key in sorted(client.keys())]
    find_batches(client, BatchFilter(text="b"), 2)
    assert [client.dump(key) for key in sorted(client.keys())] == before


def matches(entry: Entry, wanted: BatchFilter) -> bool:
    """What the filter promises, in plain Python."""
    summary, moment_ms = entry.summary, entry.changed_ms
    if entry.state in ("open", "leased"):
        moment_ms = entry.accepted_ms
    counts = summary.outcomes | {"missing": summary.missing or 0}
    is_unwell = bool(summary.problems or summary.expired)
    by_outcome = {"well": not is_unwell, "unwell": is_unwell, "expired": bool(summary.expired)}
    texts = (entry.batch, entry.display_name, entry.cause)
    return (
        any(wanted.text.lower() in one.lower() for one in texts)
        and wanted.state in (None, entry.state)
        and wanted.project in (None, entry.project)
        and wanted.model.lower() in (summary.model or "").lower()
        and wanted.since_ms <= moment_ms <= wanted.until_ms
        and (
            not wanted.outcome
            or (
                entry.state == "done"
                and by_outcome.get(wanted.outcome, counts.get(wanted.outcome, 0) > 0)
            )
        )
    )


def test_any_filter_finds_what_plain_python_finds(client: "redis.Redis") -> None:
    chance = random.Random(20)
    every = list[str]()
    for number in range(120):
        name = f"{chance.choice(('', 'acme/'))}batches/x{number}"
        state: State = chance.choice(get_args(State))
        summary = Summary(
            display_name=chance.choice((None, "Night", "day über")),
            model=chance.choice((None, "models/pro", "models/flash")),
            outcomes={"ok": 1, "error": chance.choice((0, 2))},
            missing=chance.choice((None, 0, 1)),
            problems=chance.choice(([], ["wrong"])),
            expired=chance.choice(("", "", "gone")),
        )
        stored = summary if state == "done" else None
        put(client, name, state, chance.randrange(50), stored, cause=chance.choice(("", "day 1")))
        every.append(name)
    entries = fetch_entries(client, every).values()
    for _ in range(150):
        wanted = BatchFilter(
            text=chance.choice(("", "", "night", "DAY", "x1", "acme", "über")),
            state=chance.choice((None, None, *get_args(State))),
            outcome=chance.choice(("", "", *WANTED_OUTCOMES)),
            project=chance.choice((None, "", "acme")),
            model=chance.choice(("", "", "FLASH", "pro")),
            since_ms=chance.choice((0, 0, 20)),
            until_ms=chance.choice((100, 30)),
            order=chance.choice(get_args(Order)),
        )
        found = [name for page in pages(client, chance.randrange(1, 40), wanted) for name in page]
        expected = [entry.batch for entry in entries if matches(entry, wanted)]
        assert sorted(found) == sorted(one.removeprefix("batches/") for one in expected), wanted
        moments = [
            entry.changed_ms
            for name in found
            for entry in entries
            if entry.batch.removeprefix("batches/") == name and entry.state in ("buried", "done")
        ]
        assert moments == sorted(moments, reverse=wanted.order == "newest")
