"""What a result says beside its outcome: message, tokens, and whether Gemini charges for it."""

from typing import Any

import pytest

from receiver.outputs.outcomes import Outcome
from workers.results.rules import Result, judge_row, malformed
from workers.results.usages import Usage

TOKENS = {"promptTokenCount": "7", "totalTokenCount": "7"}
USAGE = Usage(prompt=7, candidates=0, total=7)


def judge(**fields: Any) -> Result:
    return judge_row({"key": "k"} | fields, "")


def judge_response(**response: Any) -> Result:
    return judge(response=response | {"usageMetadata": TOKENS})


def test_refused_prompt_says_why_and_what_it_cost() -> None:
    feedback = {"blockReason": "OTHER", "blockReasonMessage": "not this"}
    expected = Result("k", Outcome.BLOCKED, "OTHER", "not this", usage=USAGE)
    assert judge_response(promptFeedback=feedback) == expected


@pytest.mark.parametrize(
    ("reason", "code", "message"),
    [("OTHER", "OTHER", "OTHER"), (["STOP"], None, "the finishReason is no text")],
)
def test_broken_end_has_its_tokens(reason: Any, code: str | None, message: str) -> None:
    expected = Result("k", Outcome.ERROR, code, message, retryable=True, usage=USAGE)
    assert judge_response(candidates=[{"finishReason": reason}]) == expected


@pytest.mark.parametrize(
    ("candidate", "outcome", "retryable"),
    [
        ({"finishReason": "STOP"}, Outcome.EMPTY, True),
        ({"finishReason": "SAFETY"}, Outcome.BLOCKED, False),
        ({"finishReason": "MAX_TOKENS"}, Outcome.TRUNCATED, False),
    ],
)
def test_end_without_an_answer_has_its_tokens(
    candidate: dict[str, Any], outcome: Outcome, *, retryable: bool
) -> None:
    code = candidate["finishReason"]
    expected = Result("k", outcome, code, retryable=retryable, usage=USAGE)
    assert judge_response(candidates=[candidate]) == expected


def test_answer_without_a_count_has_unknown_tokens() -> None:
    answer = {"content": {"parts": [{"text": "x"}]}}
    tokens = {"promptTokenCount": "7", "candidatesTokenCount": "0", "totalTokenCount": "7"}
    result = judge(response={"candidates": [answer], "usageMetadata": tokens})
    assert result.usage == Usage(prompt=7, candidates=None, total=7)
    silent = judge(response={"candidates": [{}], "usageMetadata": tokens})
    assert silent.usage == USAGE


def test_shape_that_is_not_known_is_named() -> None:
    result = judge_response(candidates="x")
    expected = Result(
        "k", Outcome.MALFORMED, "shape", "candidates is no list", retryable=True, usage=USAGE
    )
    assert result == expected
    result = judge(response={"output": [], "object": "x", "tokens": 1})
    words = "the response holds nothing that is known, only output, object, tokens"
    assert result == malformed("shape", words, key="k")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"response": "x"}, "the response is not an object"),
        ({}, "the object holds neither a response nor an error"),
    ],
)
def test_row_that_is_no_result_says_why(fields: dict[str, Any], message: str) -> None:
    assert judge(**fields) == malformed("shape", message, key="k")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("boom", Result("k", Outcome.ERROR, None, "boom", retryable=True)),
        ({"message": "boom"}, Result("k", Outcome.ERROR, None, "boom", retryable=True)),
        ({"code": "7"}, Result("k", Outcome.ERROR, "7", None)),
    ],
)
def test_error_keeps_its_words(error: Any, expected: Result) -> None:
    result = judge(error=error)
    assert (result.code, result.message, result.retryable) == (
        expected.code,
        expected.message,
        expected.retryable,
    )


def test_status_by_name_alone_is_an_error() -> None:
    result = judge(status={"status": "NOT_FOUND", "message": "no such model"})
    assert (result.outcome, result.code) == (Outcome.ERROR, "NOT_FOUND")


@pytest.mark.parametrize(
    ("response", "billed"),
    [
        (None, False),
        ({}, False),
        ({"usageMetadata": TOKENS}, True),
        ({"candidates": []}, True),
    ],
)
def test_error_is_billed_where_gemini_answered(
    response: dict[str, Any] | None, *, billed: bool
) -> None:
    fields = {} if response is None else {"response": response}
    assert judge(error={"code": "13"}, **fields).billed is billed


def test_what_is_no_error_is_billed() -> None:
    assert judge(response={}).billed
    assert judge().billed


def test_member_of_the_key_is_asked_first() -> None:
    row = {"key": "k", "metadata": {"order": "o"}, "response": {}}
    assert (judge_row(row, "").key, judge_row(row, "order").key) == ("k", "o")
