"""What is said of a stored batch: complete means that every request is answered."""

import msgspec
import pytest

from receiver.outputs.judgement import (
    EMPTY_SHA256,
    Again,
    advise,
    find_again,
    judge,
    judge_manifest,
)
from receiver.outputs.manifest import Input, Manifest, Record
from receiver.outputs.outcomes import ANSWERED, OUTCOMES
from tests.receiver.outputs.test_manifest import MANIFEST

FULL, EMPTY = Record("b1/_retry.jsonl", "ab"), Record("b1/_retry.jsonl", EMPTY_SHA256)


def made(requests: int | None = 2, missing: int | None = 0, **more: object) -> Manifest:
    """A manifest that balances; words that name no field of it are outcomes."""
    outcomes = {name: more.pop(name, 0) for name in (*OUTCOMES, "later")}
    fields = {
        "input": None,
        "missing_keys": [],
        "balanced": None if requests is None else True,
    } | more
    whole = {"requests": requests, "missing": missing, "outcomes": outcomes} | fields
    return msgspec.structs.replace(MANIFEST, **whole)


def test_every_request_answered_is_well() -> None:
    judgement = judge_manifest(made(ok=2))
    assert (judgement.is_well, judgement.text, judgement.problems, judgement.advice) == (
        True,
        "stored",
        (),
        None,
    )


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (made(37, 2, error=35), "stored; 35 errors, 2 missing"),
        (made(5, error=5), "stored; 5 errors"),
        (made(2, ok=1, error=1), "stored; 1 error"),
        (made(3, truncated=3), "stored; 3 truncated"),
        (made(4, ok=1, blocked=1, truncated=1, empty=1), "stored; 1 blocked, 1 truncated, 1 empty"),
        (made(6, malformed=1, unkeyed=5), "stored; 1 malformed, 5 without a key"),
        (made(2, ok=2, duplicate=2, balanced=False), "stored; 2 duplicates"),
        (made(2, ok=2, duplicate=1, balanced=False), "stored; 1 duplicate"),
        (made(2, ok=2, balanced=False), "stored; the counts don't add up"),
        (made(2, ok=3), "stored; the counts don't add up"),
        (
            made(2, ok=2, input=Input("b1/_input.jsonl.gz", "cd", 3)),
            "stored; the counts don't add up",
        ),
        (made(None, None, ok=2), "stored; unknown how many missing"),
        (made(None, None, ok=2, error=1), "stored; 1 error, unknown how many missing"),
        (made(2, None, ok=2), "stored; unknown how many missing"),
        (made(None, 2, ok=1), "stored; unknown how many missing"),
        (made(2, ok=2, state="FAILED"), "stored; failed at Gemini"),
        (made(3, 3, state="CANCELLED"), "stored; cancelled at Gemini, 3 missing"),
        (made(3, 1, ok=2, state="EXPIRED"), "stored; expired at Gemini, 1 missing"),
        (made(2, ok=2, state="PAUSED"), "stored; Gemini says PAUSED"),
        (made(0), "stored; no answer"),
        (made(3, ok=1, later=2), "stored; 2 later"),
        (made(12345, 11111, ok=1234), "stored; 11,111 missing"),
    ],
)
def test_anything_else_is_not(manifest: Manifest, text: str) -> None:
    judgement = judge_manifest(manifest)
    assert (judgement.is_well, judgement.text) == (False, text)
    assert judgement.problems


@pytest.mark.parametrize("outcome", [name for name in OUTCOMES if name not in ANSWERED])
def test_batch_without_an_answer_is_never_complete(outcome: str) -> None:
    problems = judge_manifest(made(3, **{outcome: 3})).problems
    assert problems[-1] == "not one request is answered"


@pytest.mark.parametrize(
    ("manifest", "problems"),
    [
        (
            made(5, 1, ok=1, error=2, blocked=1),
            (
                "3 results are no answer: 1 blocked, 2 errors",
                "1 of 5 requests has no result",
            ),
        ),
        (
            made(4, 2, ok=1, error=1, state="EXPIRED"),
            (
                "the batch did not succeed: Gemini says EXPIRED",
                "1 result is no answer: 1 error",
                "2 of 4 requests have no result",
            ),
        ),
        (
            made(1, 1),
            ("1 of 1 request has no result", "not one request is answered"),
        ),
        (
            made(None, 2, ok=1),
            (
                "the number of its requests is not known, so some may be missing",
                "2 requests have no result",
            ),
        ),
        (
            made(1, ok=2, balanced=False),
            ("the counts don't add up: 1 request, 2 results, 0 missing",),
        ),
        (
            made(0, 3, ok=1, balanced=False),
            (
                "the counts don't add up: 0 requests, 1 result, 3 missing",
                "3 of 0 requests have no result",
            ),
        ),
        (
            made(2, ok=2, input=Input("b1/_input.jsonl.gz", "cd", 1)),
            ("the input holds 1 request, Gemini says 2",),
        ),
        (
            made(2, ok=2, source=msgspec.structs.replace(MANIFEST.source, doubted="no keys")),
            ("the results look wrong: no keys; over minutes, Gemini gave the same again",),
        ),
    ],
)
def test_problems_are_sentences(manifest: Manifest, problems: tuple[str, ...]) -> None:
    assert judge_manifest(manifest).problems == problems


def test_requests_are_answered_or_not() -> None:
    judgement = judge_manifest(made(7, 2, ok=2, truncated=1, error=1, blocked=1))
    assert (judgement.answered, judgement.unanswered) == (2, 5)
    judgement = judge_manifest(made(None, None, ok=2, error=1))
    assert (judgement.answered, judgement.unanswered) == (2, 1)


def test_state_that_is_not_known_is_no_problem() -> None:
    summary = made(2, ok=2, state="")
    assert (judge(summary).is_well, judge(summary).text) == (True, "stored")


def test_outcomes_of_an_older_version_may_be_few() -> None:
    older = msgspec.structs.replace(made(3, 1), outcomes={"ok": 1, "error": 1}, retry=None)
    assert judge_manifest(older).text == "stored; 1 error, 1 missing"
    assert find_again(msgspec.structs.replace(older, missing=0)) == ""


def test_resubmit_of_two_kinds_of_lost_keys() -> None:
    assert find_again(made(2, unkeyed=1, malformed=1, retry=EMPTY)) == "keys"
    assert find_again(made(2, ok=1, malformed=1, retry=EMPTY)) == "keys"
    assert find_again(made(2, ok=2, retry=EMPTY)) == ""


def test_resubmit_of_a_kept_input() -> None:
    kept = Input("b1/_input.jsonl.gz", "cd", 2)
    assert find_again(made(2, ok=1, error=1, retry=FULL, input=kept)) == "whole"
    assert find_again(made(2, ok=1, truncated=1, retry=EMPTY, input=kept)) == ""


@pytest.mark.parametrize(
    ("again", "advice"),
    [
        ("whole", "`gemini-batch-receiver resubmit b1` sends again what is worth it"),
        (
            "keys",
            (
                "`gemini-batch-receiver resubmit b1 --input FILE` sends again what is worth it, out of"
                " its input"
            ),
        ),
        (None, "`gemini-batch-receiver batches show b1` says what to do"),
        ("", None),
    ],
)
def test_advice_names_the_command(again: Again | None, advice: str | None) -> None:
    assert advise("batches/b1", again) == advice


def test_well_batch_needs_no_advice() -> None:
    assert judge(made(2, ok=2), "do this").advice is None
    assert judge(made(2, ok=1, error=1), "do this").advice == "do this"


@pytest.mark.parametrize(
    ("manifest", "advice"),
    [
        (made(2, ok=1, error=1, retry=FULL), "resubmit b1 --input FILE`"),
        (
            made(2, ok=1, error=1, retry=FULL, input=Input("b1/_input.jsonl.gz", "cd", 2)),
            "resubmit b1`",
        ),
        (
            made(2, ok=1, empty=1, retry=FULL, project="acme"),
            "resubmit acme/batches/b1 --input FILE`",
        ),
        (made(2, 1, ok=1, retry=EMPTY), "resubmit b1 --input FILE`"),
        (made(2, ok=1, unkeyed=1, retry=EMPTY), "resubmit b1 --input FILE`"),
        (made(2, 2, state="FAILED", retry=None), "resubmit b1 --input FILE`"),
        (made(None, None, state="FAILED", retry=None), "resubmit b1 --input FILE`"),
        (made(2, ok=1, blocked=1, retry=EMPTY), None),
        (made(2, ok=1, truncated=1, retry=EMPTY, input=Input("b1/_input.jsonl.gz", "cd", 2)), None),
        (made(2, ok=1, error=1, retry=EMPTY), None),  # an error that no retry heals
        (made(None, None, ok=2, retry=EMPTY), None),
    ],
)
def test_resubmit_is_named_where_it_would_send_something(
    manifest: Manifest, advice: str | None
) -> None:
    said = judge_manifest(manifest).advice
    assert (
        said is None
        if advice is None
        else said is not None and f"`gemini-batch-receiver {advice}" in said
    )
