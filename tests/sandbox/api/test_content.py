import time
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.sandbox.conftest import Json, Sandbox

MODEL = "gemini-3.8-flash"
FLEX = types.GenerateContentConfig(service_tier=types.ServiceTier.FLEX)


def ask(sandbox: Sandbox, text: str, **members: Any) -> Json:
    body = {"contents": [{"parts": [{"text": text}]}], **members}
    return sandbox.ask("POST", f"/v1beta/models/{MODEL}:generateContent", body)


def test_sdk_counts_tokens(client: genai.Client) -> None:
    counted = client.models.count_tokens(model=MODEL, contents="four letters are one")
    assert counted.total_tokens == 5


@pytest.mark.parametrize("name", ["generateContentRequest", "generate_content_request"])
def test_whole_request_is_counted(sandbox: Sandbox, name: str) -> None:
    request = {"contents": [{"parts": [{"text": "x" * 40}]}], "model": f"models/{MODEL}"}
    counted = sandbox.ask("POST", f"/v1beta/models/{MODEL}:countTokens", {name: request})
    assert counted["totalTokens"] == 10
    assert counted["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": 10}]


def test_sdk_reads_a_flex_answer(client: genai.Client) -> None:
    answer = client.models.generate_content(model=MODEL, contents="How deep is it?", config=FLEX)
    assert "How deep is it?" in (answer.text or "")
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata.total_token_count or 0) > 3


@pytest.mark.parametrize(("named", "tier"), [({"serviceTier": "flex"}, "flex"), ({}, "standard")])
def test_usage_names_the_tier(sandbox: Sandbox, named: Json, tier: str) -> None:
    assert ask(sandbox, "x", **named)["usageMetadata"]["serviceTier"] == tier


def test_a_full_tier_answers_503_to_a_share(client: genai.Client, sandbox: Sandbox) -> None:
    sandbox.fault(generate_status={"status": 503, "times": "all", "share": 0.5})
    refused = 0
    for _ in range(6):
        try:
            client.models.generate_content(model=MODEL, contents="x", config=FLEX)
        except errors.ServerError as error:
            refused += (error.code, error.status) == (503, "UNAVAILABLE")
    assert refused == 3


@pytest.mark.parametrize(("mark", "status"), [("error 8", 429), ("error 3", 400), ("error", 500)])
def test_failing_request_is_an_http_error(sandbox: Sandbox, mark: str, status: int) -> None:
    body = {"contents": [{"parts": [{"text": f"[sandbox:{mark}]"}]}]}
    answer = sandbox.http.post(f"/v1beta/models/{MODEL}:generateContent", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)


def test_answers_can_be_slow(sandbox: Sandbox) -> None:
    sandbox.fault(delay_answers_s=0.3)
    begun = time.monotonic()
    ask(sandbox, "x", serviceTier="flex")
    assert time.monotonic() - begun >= 0.3


def test_malformed_request_is_refused(sandbox: Sandbox) -> None:
    for call in ("generateContent", "countTokens"):
        answer = sandbox.http.post(
            f"/v1beta/models/{MODEL}:{call}", json={"contents": [{"parts": 5}]}
        )
        assert answer.status_code == 400
        assert sandbox.http.post(f"/v1beta/models/{MODEL}:{call}", json={}).status_code == 400


def test_count_status_stands_for_the_count(sandbox: Sandbox) -> None:
    sandbox.fault(count_status={"status": 429, "retry_after": 2})
    body = {"contents": [{"parts": [{"text": "x"}]}]}
    answer = sandbox.http.post(f"/v1beta/models/{MODEL}:countTokens", json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
