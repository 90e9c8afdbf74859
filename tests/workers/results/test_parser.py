import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.answers.candidates import BLOCKING_REASONS, is_unseen
from receiver.outputs.outcomes import Outcome
from tests.programs import require_module
from workers.results.parser import _starts_visibly, is_blank, parse_result
from workers.results.rules import Result, judge_row
from workers.results.usages import Doubt, ModalityCount, Usage

ANSWER: dict[str, Any] = {
    "content": {"parts": [{"text": "Des Moines"}], "role": "model"},
    "finishReason": "STOP",
    "index": 0,
}
NOTHING: dict[str, Any] = {"content": {"role": "model"}, "finishReason": "STOP"}


def answer(*parts: dict[str, Any], reason: str | None = "STOP") -> dict[str, Any]:
    return {"content": {"parts": list(parts)}} | ({"finishReason": reason} if reason else {})


def line(response: Any = None, **fields: Any) -> bytes:
    row = ({} if response is None else {"response": response}) | {"key": "k"} | fields
    return json.dumps({name: value for name, value in row.items() if value is not ...}).encode()


def candidates(*items: Any, **fields: Any) -> bytes:
    return line({"candidates": list(items)}, **fields)


OK, BLOCKED, TRUNCATED, EMPTY = Outcome.OK, Outcome.BLOCKED, Outcome.TRUNCATED, Outcome.EMPTY
ERROR, MALFORMED, UNKEYED = Outcome.ERROR, Outcome.MALFORMED, Outcome.UNKEYED

CASES: dict[str, tuple[bytes, Outcome, str | None, bool]] = {
    # answers
    "text": (candidates(ANSWER), OK, "STOP", False),
    "thought, then text": (
        candidates(answer({"text": "plan", "thought": True}, {"text": "x"})),
        OK,
        "STOP",
        False,
    ),
    "one letter": (candidates(answer({"text": "A"})), OK, "STOP", False),
    "no finish reason": (candidates(answer({"text": "x"}, reason=None)), OK, None, False),
    "unspecified finish reason": (
        candidates(answer({"text": "x"}, reason="FINISH_REASON_UNSPECIFIED")),
        OK,
        "FINISH_REASON_UNSPECIFIED",
        False,
    ),
    "finish reason null": (candidates(ANSWER | {"finishReason": None}), OK, None, False),
    "lower case": (candidates(answer({"text": "x"}, reason="stop")), OK, "stop", False),
    "line breaks, then text": (candidates(answer({"text": "\n \u00a0x"})), OK, "STOP", False),
    "empty part, then text": (candidates(answer({"text": "\n"}, {"text": "x"})), OK, "STOP", False),
    "function call": (
        candidates(answer({"functionCall": {"name": "f", "args": {"a": 1}}})),
        OK,
        "STOP",
        False,
    ),
    "image alone": (
        candidates(answer({"inlineData": {"mimeType": "image/png", "data": "aaaa"}})),
        OK,
        "STOP",
        False,
    ),
    "file": (candidates(answer({"fileData": {"fileUri": "u"}})), OK, "STOP", False),
    "code": (candidates(answer({"executableCode": {"code": "1"}})), OK, "STOP", False),
    "code's result": (
        candidates(answer({"codeExecutionResult": {"output": "1"}})),
        OK,
        "STOP",
        False,
    ),
    "content of a new kind": (candidates(answer({"hologram": {}})), OK, "STOP", False),
    "grounding": (
        candidates(ANSWER | {"groundingMetadata": {"webSearchQueries": ["q"]}}),
        OK,
        "STOP",
        False,
    ),
    "line separator in text": (candidates(answer({"text": "a\u2028b"})), OK, "STOP", False),
    "embedding": (
        line({"tokenCount": "1", "embedding": {"values": [-0.03, 0.2]}}),
        OK,
        None,
        False,
    ),
    "embedding in exponents": (line({"embedding": {"values": [1e-9]}}), OK, None, False),
    "error null": (candidates(ANSWER, error=None), OK, "STOP", False),
    "echoed status": (candidates(ANSWER, status={"code": 3}), OK, "STOP", False),
    # several candidates: the first finished answer decides
    "second answers": (candidates({"finishReason": "SAFETY"}, ANSWER), OK, "STOP", False),
    "first is cut, second is not": (
        candidates(answer({"text": "x"}, reason="MAX_TOKENS"), ANSWER),
        OK,
        "STOP",
        False,
    ),
    "first broke, second did not": (
        candidates(answer({"text": "x"}, reason="OTHER"), ANSWER),
        OK,
        "STOP",
        False,
    ),
    "first is empty, second is not": (candidates(NOTHING, ANSWER), OK, "STOP", False),
    "first is blank, second is cut": (
        candidates(answer({"text": " "}), answer({"text": "x"}, reason="MAX_TOKENS")),
        TRUNCATED,
        "MAX_TOKENS",
        False,
    ),
    "broken, then refused": (
        candidates(answer({"text": "x"}, reason="OTHER"), {"finishReason": "SAFETY"}),
        BLOCKED,
        "SAFETY",
        False,
    ),
    "broken, then cut": (
        candidates(answer({"text": "x"}, reason="OTHER"), {"finishReason": "MAX_TOKENS"}),
        TRUNCATED,
        "MAX_TOKENS",
        False,
    ),
    "both blocked": (
        candidates({"finishReason": "SPII"}, {"finishReason": "SAFETY"}),
        BLOCKED,
        "SPII",
        False,
    ),
    # no answer
    "cut": (
        candidates(answer({"text": "half"}, reason="MAX_TOKENS")),
        TRUNCATED,
        "MAX_TOKENS",
        False,
    ),
    "cut to nothing": (
        candidates(NOTHING | {"finishReason": "MAX_TOKENS"}),
        TRUNCATED,
        "MAX_TOKENS",
        False,
    ),
    "cut without content": (
        candidates({"finishReason": "MAX_TOKENS"}),
        TRUNCATED,
        "MAX_TOKENS",
        False,
    ),
    "budget spent on thoughts": (
        candidates(answer({"text": "plan", "thought": True}, reason="MAX_TOKENS")),
        TRUNCATED,
        "MAX_TOKENS",
        False,
    ),
    "refused, then cut to nothing": (
        candidates({"finishReason": "SAFETY"}, {"finishReason": "MAX_TOKENS"}),
        TRUNCATED,
        "MAX_TOKENS",
        False,
    ),
    "cut to nothing, then an answer": (
        candidates({"finishReason": "MAX_TOKENS"}, ANSWER),
        OK,
        "STOP",
        False,
    ),
    "thoughts alone": (candidates(answer({"text": "plan", "thought": True})), EMPTY, "STOP", True),
    "empty text": (candidates(answer({"text": ""})), EMPTY, "STOP", True),
    "text null": (candidates(answer({"text": None})), EMPTY, "STOP", True),
    "signature alone": (candidates(answer({"thoughtSignature": "EpgC"})), EMPTY, "STOP", True),
    "no parts": (candidates(NOTHING), EMPTY, "STOP", True),
    "no candidates": (line({"usageMetadata": {"promptTokenCount": 1}}), EMPTY, None, True),
    "candidates empty": (candidates(), EMPTY, None, True),
    "signature and white space": (
        candidates(answer({"thoughtSignature": "EpgC", "text": "\n"})),
        EMPTY,
        "STOP",
        True,
    ),
    "picture without data": (
        candidates(answer({"inlineData": {"mimeType": "image/png", "data": ""}})),
        EMPTY,
        "STOP",
        True,
    ),
    "embedding empty": (line({"embedding": {"values": []}}), EMPTY, None, True),
    "response empty": (line({}), EMPTY, None, True),
    # refusals
    "prompt blocked": (line({"promptFeedback": {"blockReason": "OTHER"}}), BLOCKED, "OTHER", False),
    "candidate blocked": (
        candidates({"finishReason": "SAFETY", "index": 0}),
        BLOCKED,
        "SAFETY",
        False,
    ),
    "half an answer, then blocked": (
        candidates(answer({"text": "x"}, reason="RECITATION")),
        BLOCKED,
        "RECITATION",
        False,
    ),
    # ends that are none
    "finish reason of no text": (
        candidates(ANSWER | {"finishReason": ["STOP"]}),
        ERROR,
        None,
        True,
    ),
    "finish reason as number": (candidates(ANSWER | {"finishReason": 1}), ERROR, "1", True),
    # errors
    "error 3": (line(error={"code": 3, "message": "bad"}), ERROR, "3", False),
    "error 8": (
        line(error={"code": 8, "message": "quota", "details": [{"@type": "t"}]}),
        ERROR,
        "8",
        True,
    ),
    "error 13": (line(error={"code": 13, "message": "…"}), ERROR, "13", True),
    "error 13 by recitation": (
        line(error={"code": 13, "message": "blocked: recitation"}),
        ERROR,
        "13",
        False,
    ),
    "error 400": (line(error={"code": 400, "status": "INVALID_ARGUMENT"}), ERROR, "400", False),
    "error 429": (line(error={"code": 429}), ERROR, "429", True),
    "error 499": (line(error={"code": 499}), ERROR, "499", True),
    "error 501": (line(error={"code": 501}), ERROR, "501", False),
    "error 503": (line(error={"code": 503}), ERROR, "503", True),
    "error by name": (line(error={"status": "NOT_FOUND"}), ERROR, "NOT_FOUND", False),
    "error by passing name": (line(error={"status": "UNAVAILABLE"}), ERROR, "UNAVAILABLE", True),
    "code as text": (line(error={"code": "7"}), ERROR, "7", False),
    "unknown code": (line(error={"code": 77, "status": "NOT_FOUND"}), ERROR, "77", False),
    "error of no code": (line(error={}), ERROR, None, True),
    "error as text": (line(error="boom"), ERROR, None, True),
    "status": (line(status={"code": 3, "message": "bad"}), ERROR, "3", False),
    "error beside a response": (candidates(ANSWER, error={"code": 4}), ERROR, "4", True),
    # nothing the contract knows
    "neither": (line(), MALFORMED, "shape", True),
    "response null": (line(response=None), MALFORMED, "shape", True),
    "status without a code": (line(status="done"), MALFORMED, "shape", True),
    "status of success": (line(status={"code": 0}), MALFORMED, "shape", True),
    "response as text": (line("x"), MALFORMED, "shape", True),
    "response as list": (line([]), MALFORMED, "shape", True),
    "response of another kind": (line({"output": [{"type": "message"}]}), MALFORMED, "shape", True),
    "candidates as object": (line({"candidates": {"content": {}}}), MALFORMED, "shape", True),
    "candidates as text": (candidates("x"), MALFORMED, "shape", True),
    "content as text": (
        candidates({"content": "x", "finishReason": "STOP"}),
        MALFORMED,
        "shape",
        True,
    ),
    "parts as text": (candidates({"content": {"parts": "x"}}), MALFORMED, "shape", True),
    "embedding of no numbers": (
        line({"embedding": {"values": ["many"]}}),
        MALFORMED,
        "shape",
        True,
    ),
    "embedding of nulls": (line({"embedding": {"values": [None]}}), MALFORMED, "shape", True),
    "embedding as list": (line({"embedding": [0.1]}), MALFORMED, "shape", True),
    "embeddings as object": (line({"embeddings": {"values": [0.1]}}), MALFORMED, "shape", True),
    "feedback as text": (line({"promptFeedback": "SAFETY"}), MALFORMED, "shape", True),
    "part as text": (candidates({"content": {"parts": ["x"]}}), MALFORMED, "shape", True),
}


@pytest.mark.parametrize("name", CASES)
def test_row_becomes_its_outcome(name: str) -> None:
    source, outcome, code, retryable = CASES[name]
    result = parse_result(source)
    assert (result.key, result.outcome, result.code, result.retryable) == (
        "k",
        outcome,
        code,
        retryable,
    )


@pytest.mark.parametrize("name", CASES)
def test_row_without_key_is_unkeyed(name: str) -> None:
    row = json.loads(CASES[name][0])
    del row["key"]
    result = parse_result(json.dumps(row).encode())
    assert (result.key, result.outcome, result.retryable) == (None, UNKEYED, False)
    assert result.code == CASES[name][2]


@pytest.mark.parametrize("reason", sorted(BLOCKING_REASONS))
def test_every_blocking_reason_blocks(reason: str) -> None:
    assert parse_result(candidates(ANSWER | {"finishReason": reason})).outcome is BLOCKED


BROKEN_ENDS = (
    *(
        "MALFORMED_FUNCTION_CALL",
        "OTHER",
        "MALFORMED_RESPONSE",
        "NO_IMAGE",
        "IMAGE_OTHER",
        "UNEXPECTED_TOOL_CALL",
    ),
    *(
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "CONTINUATION",
        "A_NEW_ONE",
        "stopped",
        "\u00e4",
    ),
)


@pytest.mark.parametrize(
    "parts", [[{"text": "The first of"}], [{"functionCall": {"name": "f"}}], []]
)
@pytest.mark.parametrize("reason", BROKEN_ENDS)
def test_any_other_end_is_worth_another_try(reason: str, parts: list[Any]) -> None:
    result = parse_result(candidates(answer(*parts, reason=reason)))
    assert (result.outcome, result.code, result.message, result.retryable) == (
        ERROR,
        reason,
        reason,
        True,
    )
    told = parse_result(candidates(answer(*parts, reason=reason) | {"finishMessage": "why"}))
    assert (told.outcome, told.code, told.message) == (ERROR, reason, "why")


def test_every_reason_of_the_sdk_is_decided() -> None:
    """What the SDK calls neither STOP nor unspecified is no answer, whatever came."""
    require_module("google.genai")
    from google.genai.types import FinishReason  # noqa: PLC0415 - only `.[test-all]` installs it

    ends = {
        reason.value: parse_result(candidates(ANSWER | {"finishReason": reason.value}))
        for reason in FinishReason
    }
    assert {reason for reason, result in ends.items() if result.outcome is OK} == {
        "STOP",
        "FINISH_REASON_UNSPECIFIED",
    }
    assert {
        reason for reason, result in ends.items() if result.outcome is BLOCKED
    } == BLOCKING_REASONS & set(ends)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n",
        "\t\r\n ",
        "\n" * 9999,
        "\u00a0",
        "\u2028\u2029",
        "\u3000",
        "\u200b",
        "\ufeff",
        "\x00",
        "\x1f",
    ],
)
@pytest.mark.parametrize("escaped", [False, True])
def test_text_that_nobody_sees_is_empty(text: str, *, escaped: bool) -> None:
    row = {"response": {"candidates": [answer({"text": text})]}, "key": "k"}
    result = parse_result(json.dumps(row, ensure_ascii=escaped).encode())
    assert (result.outcome, result.retryable) == (EMPTY, True)


def test_fast_way_calls_no_unseen_character_text() -> None:
    characters = [chr(number) for number in range(0x110000) if not 0xD800 <= number < 0xE000]
    unseen = [character for character in characters if is_unseen(character)]
    assert len(unseen) > 200
    assert [
        one for one in unseen if _starts_visibly(json.dumps(one, ensure_ascii=False).encode())
    ] == []
    assert [one for one in unseen if _starts_visibly(json.dumps(one).encode())] == []


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("MAX_TOKENS", TRUNCATED), ("SAFETY", BLOCKED), ("STOP", EMPTY), ("OTHER", ERROR)],
)
@pytest.mark.parametrize("name", ["finishMessage", "finish_message"])
def test_message_of_an_end_is_kept(name: str, reason: str, outcome: Outcome) -> None:
    result = parse_result(candidates({"finishReason": reason, name: "why"}))
    assert (result.outcome, result.message) == (outcome, "why")


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, "k"),
        ({"metadata": {"key": "m"}}, "k"),
        ({"key": ..., "metadata": {"key": "m", "n": 1}}, "m"),
        ({"key": None, "metadata": {"key": "m"}}, "m"),
        ({"key": 17}, "17"),
        ({"key": -0.0}, "-0.0"),
        ({"key": ..., "metadata": {"key": 17}}, "17"),
        ({"key": True}, None),
        ({"key": ["k"]}, None),
        ({"key": ..., "metadata": "m"}, None),
        ({"key": ..., "custom_id": "c", "id": "i"}, None),
        ({"key": ""}, ""),
        ({"key": "a\u0000\u2028b/../"}, "a\u0000\u2028b/../"),
        ({"key": "\ud800"}, "\ud800"),
    ],
)
def test_key_is_found(fields: dict[str, Any], key: str | None) -> None:
    assert parse_result(candidates(ANSWER, **fields)).key == key
    assert parse_result(line(error={"code": 3}, **fields)).key == key


def test_key_keeps_its_digits() -> None:
    digits = "9" * 5000
    assert parse_result(b'{"error":{"code":3},"key":%s}' % digits.encode()).key == digits
    assert parse_result(b'{"error":{"code":3},"key":1.50}').key == "1.50"


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbf" + candidates(ANSWER),
        b"\xef\xbb\xbf" + candidates(ANSWER) + b"\r",
        b" \t" + candidates(ANSWER) + b" \r",
        candidates(ANSWER | {"avgLogprobs": float("nan"), "x": float("-inf")}),
        candidates(answer({"text": "\ud800"})),
        candidates(answer({"text": 5})),
        candidates(ANSWER | {"index": "0", "content": ANSWER["content"] | {"role": 7}}),
        candidates(ANSWER, metadata=[1], echoed={"deep": [[[]]]}),
        candidates(ANSWER | {"index": 10**400}),
        b'{"key":"first","response":"x","key":"k","response":%s}'
        % json.dumps({"candidates": [ANSWER]}).encode(),
    ],
)
def test_odd_but_whole_answer_is_ok(source: bytes) -> None:
    result = parse_result(source)
    assert (result.key, result.outcome) == ("k", OK)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b'{"response":{"candidates"', "json"),
        (b"null", "json"),
        (b"[]", "json"),
        (b'"text"', "json"),
        (b"<html>", "json"),
        (b'{"key":"k"}{"key":"k"}', "json"),
        (b'{"key":"k","response":{"a":"tab\there"}}', "json"),
        (b'{"key":"k","response":{"a":"\xff"}}', "utf-8"),
        (b'{"key":"k","response":{"a":"\xed\xa0\x80"}}', "utf-8"),
        (b'{"key":"k","response":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nesting"),
        (b'{"key":"k","response":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "nesting"),
    ],
)
def test_unreadable_line_is_malformed(source: bytes, code: str) -> None:
    result = parse_result(source, valid_utf8=False)
    assert (result.key, result.outcome, result.code, result.retryable) == (
        None,
        MALFORMED,
        code,
        True,
    )
    assert result.message


def test_broken_text_of_a_skipped_field_counts() -> None:
    source = candidates(ANSWER, other="§").replace(b"\\u00a7", b"\xff")
    assert parse_result(source, valid_utf8=False).code == "utf-8"


def test_deep_nesting_is_safe_in_threads() -> None:
    results: list[Result] = []
    source = b'{"key":' + b"[" * 1_000_000
    thread = threading.Thread(target=lambda: results.append(parse_result(source)))
    thread.start()
    thread.join()
    assert [result.code for result in results] == ["nesting"]


def test_thirty_megabytes_are_read() -> None:
    source = candidates(
        answer(
            {"text": "Here"}, {"inlineData": {"mimeType": "image/png", "data": "A" * 30_000_000}}
        )
    )
    assert parse_result(source).outcome is OK


def test_message_is_short_and_writable() -> None:
    message = parse_result(line(error={"code": 3, "message": "\ud800" + "x" * 100_000})).message
    assert message is not None
    assert len(message.encode()) == 2000


USAGE = {
    "promptTokenCount": 15,
    "cachedContentTokenCount": 5,
    "candidatesTokenCount": 2,
    "thoughtsTokenCount": 62,
    "toolUsePromptTokenCount": 3,
    "totalTokenCount": 79,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 10},
        {"modality": "IMAGE", "tokenCount": 5},
    ],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
    "candidatesTokensDetails": [{"modality": "TEXT"}],
    "toolUsePromptTokensDetails": [{"tokenCount": 3}],
    "serviceTier": "standard",
}
READ_USAGE = Usage(
    prompt=15,
    cached=5,
    candidates=2,
    thoughts=62,
    tool_use_prompt=3,
    total=79,
    prompt_details=[ModalityCount("TEXT", 10), ModalityCount("IMAGE", 5)],
    cached_details=[ModalityCount("TEXT", 5)],
    candidates_details=[ModalityCount("TEXT", 0)],
    tool_use_prompt_details=[ModalityCount("MODALITY_UNSPECIFIED", 3)],
    service_tier="standard",
)


@pytest.mark.parametrize(
    "item", [ANSWER, {"finishReason": "SAFETY"}, ANSWER | {"finishReason": "MAX_TOKENS"}]
)
def test_usage_is_read_whatever_came(item: dict[str, Any]) -> None:
    response = {"candidates": [item], "usageMetadata": USAGE}
    assert parse_result(line(response)).usage == READ_USAGE
    assert parse_result(line(response, key=...)).usage == READ_USAGE


def plain(usage: dict[str, Any], text: str = "Des Moines") -> dict[str, Any]:
    """A response as most are."""
    item = ANSWER | {"content": {"parts": [{"text": text}], "role": "model"}}
    return {"candidates": [item], "usageMetadata": usage, "modelVersion": "gemini-3.8-flash"}


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@pytest.mark.parametrize("name", USAGE)
def test_one_name_of_usage_in_snake_case_is_read(name: str) -> None:
    usage = {snake(known) if known == name else known: value for known, value in USAGE.items()}
    assert parse_result(line(plain(usage))).usage == READ_USAGE


def test_modality_in_snake_case_is_read() -> None:
    counts = [{"modality": "TEXT", "token_count": 10}, {"modality": "IMAGE", "tokenCount": 5}]
    usage = parse_result(line(plain(USAGE | {"promptTokensDetails": counts}))).usage
    assert usage == READ_USAGE


@pytest.mark.parametrize("text", [snake(name) for name in USAGE] + ["token_count", "model_version"])
def test_text_may_speak_of_names_in_snake_case(text: str) -> None:
    result = parse_result(line(plain(USAGE, text)))
    assert (result.outcome, result.usage) == (OK, READ_USAGE)


def test_new_names_of_usage_are_ignored() -> None:
    result = parse_result(line(plain(USAGE | {"trafficType": "ON_DEMAND"})))
    assert (result.outcome, result.usage, result.model) == (OK, READ_USAGE, "gemini-3.8-flash")


@pytest.mark.parametrize("text", ["", " ", "\n\n\n\n", "\u200b" * 5, "\u00a0"])
def test_plain_row_without_visible_text_is_empty(text: str) -> None:
    assert parse_result(line(plain(USAGE, text))).outcome is EMPTY


@pytest.mark.parametrize("count", [-1, 2**31, 1.5, "x", [], 10**5000 // 10**4990])
@pytest.mark.parametrize("name", ["promptTokenCount", "thoughtsTokenCount", "totalTokenCount"])
def test_absurd_count_is_none(name: str, count: Any) -> None:
    counts = {"promptTokenCount": 7, "candidatesTokenCount": 9} | {name: count}
    result = parse_result(line({"candidates": [ANSWER], "usageMetadata": counts}))
    assert result.outcome is OK
    assert result.usage == Usage(
        prompt=None if name == "promptTokenCount" else 7, candidates=9, doubt=Doubt.UNCOUNTED
    )


def test_absent_count_is_not_zero() -> None:
    usage = parse_result(
        line({"candidates": [ANSWER], "usageMetadata": {"thoughtsTokenCount": 3}})
    ).usage
    assert usage is not None
    assert (usage.prompt, usage.candidates, usage.total, usage.thoughts) == (None, None, None, 3)


@pytest.mark.parametrize(
    "row", [{"candidates": [ANSWER]}, {"candidates": [{"finishReason": "SAFETY"}]}]
)
def test_line_says_which_model_answered(row: dict[str, Any]) -> None:
    assert (
        parse_result(line(row | {"modelVersion": "gemini-3.8-flash"})).model == "gemini-3.8-flash"
    )
    assert parse_result(line(row | {"modelVersion": ["gemini-3.8-flash"]})).model is None
    assert parse_result(line(row)).model is None


@pytest.mark.parametrize("count", ["7", 7])
def test_embedding_tokens_are_prompt(count: Any) -> None:
    response = {"embedding": {"values": [0.1]}, "tokenCount": count}
    assert parse_result(line(response)).usage == Usage(prompt=7, candidates=0, total=7)


@pytest.mark.parametrize("blank", [b"", b" ", b"\r", b"\t \r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r"])
def test_white_space_is_blank(blank: bytes) -> None:
    assert is_blank(blank)


@pytest.mark.parametrize("full", [b"{}", b" {}", b"x", b"\xef\xbb\xbf{}", b"\x00", b"null"])
def test_anything_else_is_not_blank(full: bytes) -> None:
    assert not is_blank(full)


@given(source=st.binary(), valid_utf8=st.booleans())
def test_any_bytes_give_a_result(source: bytes, *, valid_utf8: bool) -> None:
    assert isinstance(parse_result(source, valid_utf8=valid_utf8), Result)


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        float("nan"),
        "",
        "5",
        "\ud800",
        "STOP",
        [],
        {},
        [None],
        [{}],
        {"key": 1},
    ]
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside `value` as its container and the index or name there."""
    names = (
        list(value)
        if isinstance(value, dict)
        else range(len(value))
        if isinstance(value, list)
        else []
    )
    return [(value, name) for name in names] + [
        place for name in names for place in places(value[name])
    ]


NAMES = (
    *(
        "key",
        "error",
        "text",
        "thought",
        "finishReason",
        "finish_reason",
        "embedding",
        "parts",
        "usage_metadata",
    ),
    *("candidates", "inline_data", "finishMessage", "custom_id", "body", "status_code"),
    *("modelVersion", "model_version", "token_count", "service_tier", "prompt_token_count"),
    *("candidates_tokens_details", "trafficType"),
)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A known row with a field or two replaced, dropped or added."""
    row: dict[str, Any] = json.loads(CASES[draw(st.sampled_from(sorted(CASES)))][0])
    if isinstance(row.get("response"), dict) and draw(st.booleans()):
        row["response"]["usageMetadata"] = json.loads(json.dumps(USAGE))
        row["response"]["modelVersion"] = "gemini-3.8-flash"
    for _ in range(draw(st.integers(0, 2))):
        container, name = draw(st.sampled_from(places(row) or [(row, "key")]))
        if isinstance(container, dict) and draw(st.booleans()):
            container.pop(name, None)
            name = draw(st.sampled_from(NAMES))
        container[name] = json.loads(json.dumps(draw(ODD)))
    return row


@given(row=rows(), indent=st.sampled_from([None, 1]))
def test_both_ways_agree(row: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(row, indent=indent)
    assert parse_result(text.encode()) == judge_row(
        json.loads(text, parse_int=str, parse_float=str), ""
    )
