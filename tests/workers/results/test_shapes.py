"""Lines in other forms than Gemini's own: snake_case, and OpenAI-compatible batches."""

import json
from array import array
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from receiver.answers.answer import read_answer
from receiver.answers.openai_lines import translate_usage
from receiver.answers.requests import read_key
from receiver.answers.shapes import camel_case
from receiver.errors import SettingsError
from receiver.outputs.outcomes import Outcome
from receiver.settings.settings import read_settings
from receiver.storage import LocalStorage
from tests.workers.forms.reading import findings, objects
from tests.workers.storing import put_input, store
from workers.results.parser import line_parser, parse_result
from workers.results.rules import Result
from workers.results.usages import Usage

OK, BLOCKED, TRUNCATED, EMPTY = Outcome.OK, Outcome.BLOCKED, Outcome.TRUNCATED, Outcome.EMPTY
ERROR, MALFORMED, UNKEYED = Outcome.ERROR, Outcome.MALFORMED, Outcome.UNKEYED


def snake(value: Any) -> Any:
    """The same JSON with snake_case names."""
    if isinstance(value, list):
        return [snake(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in name): snake(one)
        for name, one in value.items()
    }


def gemini(
    reason: str | None = "STOP", parts: Any = ({"text": "x"},), **more: Any
) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts)}, "finishReason": reason, "finishMessage": "why"}
    usage: dict[str, Any] = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}
    usage |= {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}]}
    return {"response": {"candidates": [candidate], "usageMetadata": usage} | more, "key": "k"}


FAILURE = {"error": {"code": 400, "message": "Invalid JSON payload", "status": "INVALID_ARGUMENT"}}
SNAKES = {
    "ok": gemini(),
    "no reason": gemini(None),
    "cut": gemini("MAX_TOKENS"),
    "blocked": gemini("SAFETY"),
    "broken": gemini("OTHER"),
    "picture": gemini(parts=[{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]),
    "call": gemini(parts=[{"functionCall": {"name": "f", "args": {}}}]),
    "signature alone": gemini(parts=[{"thoughtSignature": "x"}]),
    "prompt": {
        "response": {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "no"}},
        "key": "k",
    },
    "embedding": {"response": {"embedding": {"values": [0.1]}, "tokenCount": "3"}, "key": "k"},
}


@pytest.mark.parametrize("name", SNAKES)
def test_snake_case_says_the_same(name: str) -> None:
    row = SNAKES[name]
    expected = parse_result(json.dumps(row).encode())
    assert parse_result(json.dumps(snake(row)).encode()) == expected
    assert read_answer(json.dumps(snake(row)).encode()) == read_answer(json.dumps(row).encode())
    response = row["response"]
    for member in response:  # one of them alone
        mixed = {"response": response | {member: ...}, "key": "k"}
        del mixed["response"][member]
        mixed["response"] |= snake({member: response[member]})
        assert parse_result(json.dumps(mixed).encode()) == expected


@pytest.mark.parametrize(
    "row",
    [
        {"error": FAILURE},
        {"error": [FAILURE]},
        {"error": [FAILURE["error"]]},
        {"response": FAILURE},
        {"error": None, "response": FAILURE},
        {"error": FAILURE, "response": None},
    ],
)
def test_error_in_the_body_of_an_answer_is_read(row: dict[str, Any]) -> None:
    expected = parse_result(json.dumps(FAILURE | {"key": "k"}).encode())
    assert parse_result(json.dumps(row | {"key": "k"}).encode()) == expected
    assert (expected.code, expected.message, expected.retryable) == (
        "400",
        "Invalid JSON payload",
        False,
    )


@pytest.mark.parametrize(
    "usage",
    [
        {"cachedContentTokenCount": 4},
        {"thoughtsTokenCount": 9},
        {"serviceTier": "flex"},
        {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}]},
    ],
)
@pytest.mark.parametrize("reason", ["STOP", "MAX_TOKENS"])
def test_single_members_in_snake_case_count_too(usage: dict[str, Any], reason: str) -> None:
    row, mixed = gemini(reason), gemini(reason)
    for one, added in ((row, usage), (mixed, snake(usage))):
        one["response"]["usageMetadata"].pop("promptTokensDetails")
        one["response"]["usageMetadata"] |= added
    mixed["response"]["candidates"] = [
        snake(gemini(reason)["response"]["candidates"][0]) | {"finishReason": reason}
    ]
    plain, expected = (
        parse_result(json.dumps(mixed).encode()),
        parse_result(json.dumps(row).encode()),
    )
    assert plain == expected
    assert expected.message == ("why" if reason == "MAX_TOKENS" else None)


def test_names_of_a_user_stay() -> None:
    part = {"function_call": {"name": "f", "args": {"a_b": {"c_d": 1}}}}
    (candidate,) = read_answer(json.dumps(gemini(parts=[part])).encode()).candidates
    assert candidate.calls == ({"name": "f", "args": {"a_b": {"c_d": 1}}},)


def test_camel_case_wins_over_snake_case() -> None:
    assert camel_case({"finishReason": "STOP", "finish_reason": "OTHER", "_x": 1}) == {
        "finishReason": "STOP",
        "_x": 1,
    }
    assert camel_case({"finish_reason": "OTHER", "finishReason": "STOP"}) == {
        "finishReason": "STOP"
    }


def openai(body: Any, status: Any = 200, custom_id: Any = "c", **more: Any) -> dict[str, Any]:
    response = {"status_code": status, "request_id": "r", "body": body}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None} | more


def choices(*messages: Any, reason: Any = "stop") -> dict[str, Any]:
    return {
        "choices": [
            {"index": n, "message": one, "finish_reason": reason} for n, one in enumerate(messages)
        ]
    }


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.50}'}}
OPENAI: dict[str, tuple[dict[str, Any], Outcome, str | None, str | None, bool]] = {
    "answer": (openai(choices({"content": "Hi"})), OK, "STOP", None, False),
    "without a status": (
        {"custom_id": "c", "response": {"body": choices({"content": "Hi"})}},
        OK,
        "STOP",
        None,
        False,
    ),
    "without a reason": (openai(choices({"content": "Hi"}, reason=None)), OK, None, None, False),
    "parts": (
        openai(choices({"content": [{"type": "text", "text": "Hi"}]})),
        OK,
        "STOP",
        None,
        False,
    ),
    "completion": (
        openai({"choices": [{"text": "Hi", "finish_reason": "stop"}]}),
        OK,
        "STOP",
        None,
        False,
    ),
    "calls": (
        openai(choices({"content": None, "tool_calls": [CALL]}, reason="tool_calls")),
        OK,
        "STOP",
        None,
        False,
    ),
    "second answers": (
        openai(choices({"content": ""}, {"content": "Hi"})),
        OK,
        "STOP",
        None,
        False,
    ),
    "embedding": (openai({"data": [{"embedding": [0.1, 0.2]}]}), OK, None, None, False),
    "cut": (
        openai(choices({"content": "cut of"}, reason="length")),
        TRUNCATED,
        "MAX_TOKENS",
        None,
        False,
    ),
    "filtered": (
        openai(choices({"content": None}, reason="content_filter")),
        BLOCKED,
        "content_filter",
        None,
        False,
    ),
    "filtered, with why": (
        openai(choices({"content": None}, reason="content_filter: SAFETY")),
        BLOCKED,
        "content_filter: SAFETY",
        None,
        False,
    ),
    "refusal": (
        openai(choices({"content": None, "refusal": "I can't."})),
        BLOCKED,
        "content_filter",
        "I can't.",
        False,
    ),
    "refusal beside no text": (
        openai(choices({"content": "", "refusal": "I can't.", "reasoning_content": "Hm."})),
        BLOCKED,
        "content_filter",
        "I can't.",
        False,
    ),
    "error without a code under 200": (
        openai({"error": {"message": "no"}}),
        ERROR,
        None,
        "no",
        True,
    ),
    "blank": (openai(choices({"content": "\n"})), EMPTY, "STOP", None, True),
    "nothing": (openai(choices({"role": "assistant", "content": None})), EMPTY, "STOP", None, True),
    "no choices": (openai({"choices": []}), EMPTY, None, None, True),
    "new reason": (
        openai(choices({"content": "x"}, reason="paused")),
        ERROR,
        "paused",
        "paused",
        True,
    ),
    "error 400": (openai(FAILURE, 400), ERROR, "400", "Invalid JSON payload", False),
    "error in a list": (openai([FAILURE], 400), ERROR, "400", "Invalid JSON payload", False),
    "error under 200": (openai(FAILURE), ERROR, "400", "Invalid JSON payload", False),
    "error 503": (openai(None, 503), ERROR, "503", None, True),
    "error as text": (openai("Bad Gateway", "502"), ERROR, "502", "Bad Gateway", True),
    "named error": (
        openai({"error": {"code": "context_length_exceeded", "message": "long"}}, 400),
        ERROR,
        "context_length_exceeded",
        "long",
        False,
    ),
    "rate limit": (
        openai({"error": {"code": "rate_limit_exceeded"}}, 429),
        ERROR,
        "rate_limit_exceeded",
        None,
        True,
    ),
    "batch expired": (
        {
            "id": "b",
            "custom_id": "c",
            "response": None,
            "error": {"code": "batch_expired", "message": "late"},
        },
        ERROR,
        "batch_expired",
        "late",
        True,
    ),
    "error alone": (
        {"custom_id": "c", "error": {"code": "server_error"}},
        ERROR,
        "server_error",
        None,
        True,
    ),
    "body of another kind": (
        openai({"object": "response", "output": []}),
        MALFORMED,
        "shape",
        None,
        True,
    ),
    "body empty": (openai({}), EMPTY, None, None, True),
    "body null": (openai(None), MALFORMED, "shape", None, True),
    "choice as text": (openai({"choices": ["x"]}), MALFORMED, "shape", None, True),
    "message as text": (openai({"choices": [{"message": "x"}]}), MALFORMED, "shape", None, True),
}


@pytest.mark.parametrize("name", OPENAI)
def test_openai_line_becomes_its_outcome(name: str) -> None:
    row, outcome, code, message, retryable = OPENAI[name]
    result = parse_result(json.dumps(row).encode())
    assert (result.key, result.outcome, result.code, result.retryable) == (
        "c",
        outcome,
        code,
        retryable,
    )
    assert outcome is MALFORMED or result.message == message


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, (10, 0, 5, 0, 15)),
        ({"promptTokens": 10, "completionTokens": 5, "totalTokens": 15}, (10, 0, 5, 0, 15)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}, (10, 0, 5, 25, 40)),
        (
            {"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 40}
            | {
                "completion_tokens_details": {"reasoning_tokens": 25},
                "prompt_tokens_details": {"cached_tokens": 4},
            },
            (10, 4, 5, 25, 40),
        ),
        (
            {"promptTokens": 10, "completionTokens": 5, "totalTokens": 40}
            | {
                "completionTokensDetails": {"reasoningTokens": 25},
                "promptTokensDetails": {"cachedTokens": 4},
            },
            (10, 4, 5, 25, 40),
        ),
    ],
)
def test_usage_is_read_in_both_spellings(usage: dict[str, Any], expected: tuple[int, ...]) -> None:
    found = parse_result(
        json.dumps(openai(choices({"content": "x"}) | {"usage": usage})).encode()
    ).usage
    assert found is not None
    assert (found.prompt, found.cached, found.candidates, found.thoughts, found.total) == expected


def test_absent_counts_stay_absent() -> None:
    assert translate_usage({"total_tokens": 5, "prompt_tokens": None}) == {"totalTokenCount": "5"}
    assert translate_usage(None) is None
    vector = openai(
        {"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    )
    assert parse_result(json.dumps(vector).encode()).usage == Usage(prompt=3, candidates=0, total=3)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (openai(choices({"content": "x"}), key="k"), "c"),
        (openai(choices({"content": "x"}), custom_id=None, key="k"), "k"),
        (openai(choices({"content": "x"}), custom_id=17), "17"),
        (gemini() | {"custom_id": "c", "id": "i"}, "k"),
        ({"response": gemini()["response"], "custom_id": "c", "id": "i"}, None),
        ({"response": {"promptFeedback": {"blockReason": "OTHER"}}, "custom_id": "c"}, None),
        ({"error": {"code": 3}, "custom_id": "c"}, None),
        ({"error": {"code": "boom"}, "custom_id": "c", "key": "k"}, "k"),
        ({"status": {"code": 3}, "custom_id": "c"}, None),
    ],
)
def test_echoed_custom_id_is_no_key(row: dict[str, Any], key: str | None) -> None:
    assert parse_result(json.dumps(row).encode()).key == key


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"metadata": {"request_id": "m", "key": "n"}, "request_id": "t", "key": "k"}, "m"),
        ({"request_id": "t", "key": "k"}, "t"),
        ({"metadata": {"request_id": 17}, "key": "k"}, "17"),
        ({"metadata": {"request_id": None}, "key": "k"}, "k"),
        ({"metadata": {"key": "n"}}, "n"),
        ({}, None),
    ],
)
def test_result_key_names_the_member(fields: dict[str, Any], key: str | None) -> None:
    parse = line_parser("request_id")
    for row in (
        gemini(),
        gemini("SAFETY"),
        {"error": {"code": 3}},
        openai(choices({"content": "x"}), custom_id=None),
    ):
        row.pop("key", None)
        assert parse(json.dumps(row | fields).encode()).key == key
    assert read_key(json.dumps({"request": {}} | fields).encode(), "request_id") == key


def test_result_key_is_no_slower_way() -> None:
    """Both ways agree on everything but the key."""
    for row in SNAKES.values():
        named = {"response": row["response"], "metadata": {"request_id": "k"}}
        expected: Result = parse_result(json.dumps(row).encode())
        assert line_parser("request_id")(json.dumps(named).encode()) == expected


@pytest.mark.parametrize("name", ["response", "error", "metadata"])
def test_member_that_holds_no_key_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"RESULT_KEY: {name} holds no key"):
        read_settings({"GEMINI_API_KEY": "k", "RESULT_KEY": name})


def test_result_key_finds_what_is_missing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    put_input(storage, b'{"request_id":"a","request":{}}\n{"request_id":"b","request":{}}\n')
    answer = json.dumps({"response": gemini()["response"], "request_id": "a"}).encode()
    manifest = store(storage, answer + b"\n", 2, RESULT_KEY="request_id")
    assert (manifest.outcomes["ok"], manifest.missing_keys, manifest.result_key) == (
        1,
        ["b"],
        "request_id",
    )
    assert objects(storage)["b1/_retry.jsonl"] == b'{"request_id":"b","request":{}}\n'
    assert findings(storage) == []


def test_openai_batch_is_stored_whole(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    asked = [
        {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": {}}
        for key in "abcd"
    ]
    put_input(storage, b"".join(json.dumps(row).encode() + b"\n" for row in asked))
    floats = b64encode(array("f", [0.5, 1.5]).tobytes()).decode()
    lines = [
        openai(choices({"content": '{"n": 1.50}'}, {"content": "[2]"}), custom_id="a"),
        openai(
            choices({"content": None, "tool_calls": [CALL]}, reason="tool_calls"), custom_id="b"
        ),
        openai({"data": [{"embedding": floats}]}, custom_id="c"),
    ]
    data = b"".join(json.dumps(row).encode() + b"\n" for row in lines)
    manifest = store(storage, data, 4, OUTPUT_FORMS="text,json,table")
    assert (manifest.outcomes["ok"], manifest.missing_keys, manifest.balanced) == (3, ["d"], True)
    made = {
        name: data
        for name, data in objects(storage).items()
        if "_text/" in name or "_json/" in name
    }
    assert made == {
        "b1/_text/a.txt": b'{"n": 1.50}',
        "b1/_text/_candidate-1/a.txt": b"[2]",
        "b1/_json/a.json": b'{"n":1.50}\n',
        "b1/_json/_candidate-1/a.json": b"[2]\n",
        "b1/_json/b.json": b'{"function_calls":[{"name":"f","args":{"a":1.50}}]}\n',
    }
    assert read_answer(json.dumps(lines[2]).encode()).embedding == [0.5, 1.5]
    assert findings(storage) == []
