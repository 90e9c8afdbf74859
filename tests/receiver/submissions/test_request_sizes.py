import json
from typing import Any

import pytest

from receiver.submissions.request_sizes import RequestSize, measure_request


def size_of(request: dict[str, Any]) -> RequestSize:
    return measure_request(json.dumps({"key": "k", "request": request}).encode() + b"\n", request)


TEXT = {"parts": [{"text": "How are you?"}]}
DATA = "A" * 4000


def test_text_counts_by_its_line() -> None:
    request = {"contents": [TEXT]}
    line = json.dumps({"key": "k", "request": request}) + "\n"
    assert size_of(request) == RequestSize(len(line), 0, None, 1, runs_tools=False)


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "image/png", "data": DATA}},
        {"inline_data": {"mime_type": "image/png", "data": DATA}},
        {"functionResponse": {"name": "f", "parts": [{"inlineData": {"data": DATA}}]}},
    ],
)
def test_inline_data_counts_apart(part: dict[str, Any]) -> None:
    found = size_of({"contents": [TEXT, {"parts": [part]}]})
    assert found.attachments == 1
    assert found.text_bytes < 300


@pytest.mark.parametrize(
    ("request_", "attachments"),
    [
        ({"contents": [{"parts": [{"fileData": {"fileUri": "files/a"}}]}]}, 1),
        ({"contents": {"parts": [{"file_data": {"file_uri": "a"}}] * 3}}, 3),
        ({"contents": [TEXT], "cachedContent": "cachedContents/a"}, 1),
        ({"contents": [TEXT], "cached_content": "cachedContents/a"}, 1),
        ({"contents": [TEXT], "cachedContent": None}, 0),
        ({"contents": [{"parts": [{"text": "the inlineData of a file"}]}]}, 0),
        ({"contents": [{"parts": [{"inlineData": "no object"}]}]}, 0),
        ({"content": {"parts": [{"inlineData": {"data": "A"}}]}}, 1),
    ],
)
def test_attachments_are_counted(request_: dict[str, Any], attachments: int) -> None:
    assert size_of(request_).attachments == attachments


@pytest.mark.parametrize(
    ("config", "output", "candidates"),
    [
        ({"generationConfig": {"maxOutputTokens": 512}}, 512, 1),
        ({"generation_config": {"max_output_tokens": 512.0, "candidate_count": 2}}, 512, 2),
        ({"generationConfig": {"candidateCount": "3", "maxOutputTokens": "7"}}, 7, 3),
        ({"generationConfig": {"maxOutputTokens": 0, "candidateCount": 0}}, None, 1),
        ({"generationConfig": {"maxOutputTokens": True}}, None, 1),
        ({"generationConfig": {"maxOutputTokens": "many"}}, None, 1),
        ({"generationConfig": [1]}, None, 1),
        ({}, None, 1),
    ],
)
def test_limits_of_the_output_are_read(
    config: dict[str, Any], output: int | None, candidates: int
) -> None:
    found = size_of({"contents": [TEXT], **config})
    assert (found.output_tokens, found.candidates) == (output, candidates)


@pytest.mark.parametrize(
    ("tools", "runs"),
    [
        ([{"googleSearch": {}}], True),
        ([{"function_declarations": []}, {"url_context": {}}], True),
        ([{"codeExecution": {}}], True),
        ([{"mcpServers": [{}]}], True),
        ([{"functionDeclarations": [{"name": "f"}]}], False),
        ([{"functionDeclarations": [], "googleSearch": None}], False),
        ([{"computer_use": {}}, "no object"], False),
        ("no list", False),
        (None, False),
    ],
)
def test_tools_that_run_at_gemini_are_seen(tools: Any, *, runs: bool) -> None:
    assert size_of({"contents": [TEXT], "tools": tools}).runs_tools is runs
