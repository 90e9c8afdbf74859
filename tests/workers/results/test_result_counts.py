from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.outputs.outcomes import Outcome
from tests.workers.storing import NO_SCRATCH
from workers.results.key_set import KeyList, key_token
from workers.results.result_counts import Balance, KeyComparison, ResultCounts
from workers.results.rules import Result
from workers.results.usages import Doubt, ModalityCount, Usage

OK, ERROR, MALFORMED, UNKEYED = Outcome.OK, Outcome.ERROR, Outcome.MALFORMED, Outcome.UNKEYED


def counted(*results: Result) -> ResultCounts:
    counts = ResultCounts(NO_SCRATCH)
    for result in results:
        counts.add(result)
    return counts


def ok(*keys: str) -> list[Result]:
    return [Result(key, OK) for key in keys]


def test_empty_account_has_every_outcome() -> None:
    assert list(ResultCounts(NO_SCRATCH).outcomes().items()) == [
        ("ok", 0),
        ("blocked", 0),
        ("truncated", 0),
        ("empty", 0),
        ("error", 0),
        ("malformed", 0),
        ("unkeyed", 0),
        ("duplicate", 0),
    ]


@pytest.mark.parametrize("key", ["k", "", "x" * 31, "x" * 32, "ä", "\ud800", "x" * 10_000])
@pytest.mark.parametrize("first", [OK, ERROR, Outcome.BLOCKED])
def test_second_line_of_a_key_is_duplicate(key: str, first: Outcome) -> None:
    counts = ResultCounts(NO_SCRATCH)
    assert counts.add(Result(key, first)) is first
    assert counts.add(Result(key, OK)) is Outcome.DUPLICATE
    assert counts.add(Result(key, MALFORMED)) is Outcome.DUPLICATE
    assert counts.add(Result(key + "x", OK)) is OK
    assert counts.outcomes()["duplicate"] == 2


def test_malformed_line_leaves_its_key_free() -> None:
    counts = ResultCounts(NO_SCRATCH)
    assert counts.add(Result("k", MALFORMED)) is MALFORMED
    assert counts.add(Result("k", OK)) is OK
    assert counts.add(Result("k", OK)) is Outcome.DUPLICATE


def test_results_without_key_never_clash() -> None:
    counts = counted(
        Result(None, UNKEYED),
        Result(None, UNKEYED),
        Result(None, MALFORMED),
        Result(None, MALFORMED),
    )
    assert (counts.outcomes()["unkeyed"], counts.outcomes()["malformed"]) == (2, 2)


@pytest.mark.parametrize(
    ("results", "requests", "missing", "balanced"),
    [
        ([], 0, 0, True),
        ([], 2, 2, True),
        (ok("a", "b"), 2, 0, True),
        (ok("a", "b"), 3, 1, True),
        (ok("a", "b"), 1, 0, False),
        (ok("a", "a"), 2, 1, False),
        (ok("a", "b", "a"), 2, 0, False),
        ([*ok("a"), Result(None, UNKEYED)], 2, 0, True),
        ([*ok("a"), Result(None, MALFORMED)], 2, 0, True),
        ([Result("a", MALFORMED), *ok("a")], 1, 0, False),
        (ok("a"), None, None, None),
    ],
)
def test_balance_follows_its_definition(
    results: list[Result], requests: int | None, missing: int | None, *, balanced: bool | None
) -> None:
    assert counted(*results).balance(requests) == Balance(missing, balanced)


@given(
    results=st.lists(
        st.builds(
            Result,
            st.none() | st.text(max_size=2),
            st.sampled_from([o for o in Outcome if o != "duplicate"]),
        )
    ),
    blank=st.integers(0, 3),
    requests=st.integers(0, 30),
)
def test_every_line_is_conserved(results: list[Result], blank: int, requests: int) -> None:
    counts = counted(*results)
    for _ in range(blank):
        counts.add_blank()
    outcomes, balance = counts.outcomes(), counts.balance(requests)
    distinct = sum(outcomes.values()) - outcomes["duplicate"]
    assert counts.lines == len(results) + blank == sum(outcomes.values()) + counts.blank
    assert balance.balanced is (
        requests == distinct + (balance.missing or 0) and not outcomes["duplicate"]
    )


KEYS = ["k", "", "x" * 31, "x" * 32, "ä", "\ud800"]


@pytest.mark.parametrize("key", KEYS)
def test_key_of_a_line_that_could_be_read_is_answered(key: str) -> None:
    counts = counted(Result(key, ERROR), Result("spoiled", MALFORMED), Result(None, UNKEYED))
    assert [counts.answered(name) for name in (key, key + "x", "spoiled")] == [True, False, False]


@pytest.mark.parametrize("spills", [False, True])
def test_keys_are_compared_with_those_of_the_input(tmp_path: Path, *, spills: bool) -> None:
    counts, asked = ResultCounts(tmp_path), KeyList(tmp_path)
    for key in [*KEYS, "one", "two", "other"]:
        counts.add(Result(key, OK))
    counts.add(Result("spoiled", MALFORMED))
    counts.add(Result("other", MALFORMED))
    for key in [*KEYS, "spoiled", "never", "missing", "ü"]:
        asked.append(key_token(key))
    if spills:
        asked.spill()
    found = counts.compare(asked)
    assert found == KeyComparison(frozenset(map(key_token, ("never", "missing", "ü"))), 3)
    assert len(list(tmp_path.iterdir())) == (3 if spills else 0)


def test_key_that_nobody_asked_for_is_out_of_balance() -> None:
    counts, none = counted(*ok("a", "b")), frozenset[str]()
    assert counts.balance(2, KeyComparison(none, 0)) == Balance(0, balanced=True)
    assert counts.balance(2, KeyComparison(none, 1)) == Balance(0, balanced=False)


def test_lines_that_may_be_billed_otherwise_are_told_apart() -> None:
    usage = Usage(1, candidates=1)
    plain, spoiled = Result("a", OK, usage=usage), Result("b", MALFORMED, usage=usage)
    assert counted(plain).metered().doubts == {}
    assert counted(plain, plain, spoiled).metered().doubts == {Doubt.REPEATED: 1, Doubt.UNREAD: 1}


def usage_of(*usages: Usage) -> dict[str, Any]:
    return counted(*(Result(None, UNKEYED, usage=usage) for usage in usages)).usage()


NO_MODALITIES: dict[str, Any] = {
    "prompt": {},
    "cached": {},
    "candidates": {},
    "tool_use_prompt": {},
}


def test_usage_is_summed_by_field() -> None:
    usage = usage_of(*[Usage(1, 2, 3, 4, 5, 6)] * 1300, Usage(prompt=7))
    assert usage == {
        "prompt": 1307,
        "cached": 2600,
        "candidates": 3900,
        "thoughts": 5200,
        "tool_use_prompt": 6500,
        "total": 7800,
        "by_modality": NO_MODALITIES,
    }


def test_usage_can_be_asked_twice() -> None:
    counts = counted(Result("a", OK, usage=Usage(prompt=1)))
    assert counts.usage() == counts.usage()
    counts.add(Result("b", OK, usage=Usage(prompt=1)))
    assert counts.usage()["prompt"] == 2


def test_modalities_are_summed_by_name() -> None:
    text, image = ModalityCount("TEXT", 2), ModalityCount("IMAGE", 3)
    usage = usage_of(
        Usage(prompt_details=[text, image], cached_details=[image], candidates_details=[text]),
        Usage(prompt_details=[image], tool_use_prompt_details=[text]),
    )
    assert usage["by_modality"] == {
        "prompt": {"IMAGE": 6, "TEXT": 2},
        "cached": {"IMAGE": 3},
        "candidates": {"TEXT": 2},
        "tool_use_prompt": {"TEXT": 2},
    }
    assert list(usage["by_modality"]["prompt"]) == ["IMAGE", "TEXT"]


def test_invented_modalities_take_bounded_memory() -> None:
    usage = usage_of(
        *(Usage(prompt_details=[ModalityCount(f"M{number}", 1)]) for number in range(2000))
    )
    names = usage["by_modality"]["prompt"]
    assert len(names) == 17
    assert (names["OTHER"], sum(names.values())) == (2000 - 16, 2000)
