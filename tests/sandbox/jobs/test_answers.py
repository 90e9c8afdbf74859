import base64
import io
import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from deploy.sandbox.jobs.answers import answer_embed, answer_generate
from tests.programs import require_module
from tests.sandbox.conftest import Json

if TYPE_CHECKING:
    from PIL import Image


def generate(text: str = "hello", **members: Any) -> Json:
    request = {"contents": [{"parts": [{"text": text}]}], **members}
    return answer_generate(request, "models/gemini-3.5-flash", 0)[0]


def parts(answer: Json) -> list[Json]:
    found: list[Json] = answer["response"]["candidates"][0]["content"]["parts"]
    return found


def test_same_request_same_answer() -> None:
    assert json.dumps(generate()) == json.dumps(generate())
    assert generate() != generate("other")
    request = {"contents": [{"parts": [{"text": "hello"}]}]}
    assert answer_generate(request, "m", 1) != answer_generate(request, "m", 2)


def test_plain_answer_is_complete() -> None:
    response = generate("Why is the sky blue?")["response"]
    assert set(response) == {"candidates", "usageMetadata", "modelVersion", "responseId"}
    assert response["modelVersion"] == "gemini-3.5-flash"
    usage = response["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]
    assert usage["promptTokensDetails"] == [
        {"modality": "TEXT", "tokenCount": usage["promptTokenCount"]}
    ]


@pytest.mark.parametrize("name", ["cachedContent", "cached_content"])
def test_cached_content_counts_in_the_prompt(name: str) -> None:
    plain = generate()["response"]["usageMetadata"]
    cached = generate(**{name: "cachedContents/abc"})["response"]["usageMetadata"]
    assert (
        cached["promptTokenCount"] == plain["promptTokenCount"] + cached["cachedContentTokenCount"]
    )
    assert cached["totalTokenCount"] == cached["promptTokenCount"] + cached["candidatesTokenCount"]


@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
def test_thinking_is_counted(name: str) -> None:
    members: Json = {name: {"thinkingConfig": {"includeThoughts": True}}}
    answer = generate(**members)
    assert [part.get("thought") for part in parts(answer)] == [True, None]
    usage = answer["response"]["usageMetadata"]
    assert usage["thoughtsTokenCount"] > 0
    counted = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    assert usage["totalTokenCount"] == sum(usage[count] for count in counted)


def test_structured_answer_is_json_text() -> None:
    schema = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}
    answer = generate(generation_config={"response_schema": schema})
    assert isinstance(json.loads(parts(answer)[0]["text"])["n"], int)
    bare = generate(generationConfig={"responseMimeType": "application/json"})
    assert isinstance(json.loads(parts(bare)[0]["text"]), dict)


def open_picture(data: str) -> "Image.Image":
    require_module("PIL")
    from PIL import Image  # noqa: PLC0415 - only `.[test-all]` installs it

    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_picture_is_real_png() -> None:
    text, picture = parts(generate(generation_config={"responseModalities": ["TEXT", "IMAGE"]}))
    assert text["text"]
    with open_picture(picture["inlineData"]["data"]) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (64, 64))


def test_noise_makes_large_pictures() -> None:
    data = parts(generate("[sandbox:image 300]"))[1]["inlineData"]["data"]
    with open_picture(data) as image:
        image.load()
        assert image.size == (300, 300)
    assert len(data) > 300 * 300 * 3


def test_function_is_called() -> None:
    function = {
        "name": "weather",
        "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}},
    }
    call = parts(generate(tools=[{"functionDeclarations": [function]}]))[0]["functionCall"]
    assert call["name"] == "weather"
    assert isinstance(call["args"]["city"], str)


@pytest.mark.parametrize("name", ["googleSearch", "google_search"])
def test_search_grounds_answer(name: str) -> None:
    candidate = generate("who?", tools=[{name: {}}])["response"]["candidates"][0]
    assert candidate["groundingMetadata"]["webSearchQueries"] == ["who?"]


def test_candidates_are_counted() -> None:
    candidates = generate(generationConfig={"candidateCount": 3})["response"]["candidates"]
    assert [candidate["index"] for candidate in candidates] == [0, 1, 2]


def test_media_tokens_have_modality() -> None:
    contents = [{"parts": [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": ""}}]}]
    usage = answer_generate({"contents": contents}, "m", 0)[0]["response"]["usageMetadata"]
    assert [detail["modality"] for detail in usage["promptTokensDetails"]] == ["TEXT", "IMAGE"]


def test_blocked_prompt_has_no_candidates() -> None:
    response = generate("[sandbox:blocked]")["response"]
    assert response["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert "candidates" not in response
    assert response["usageMetadata"]["promptTokenCount"] > 0


@pytest.mark.parametrize(
    ("marker", "reason", "content"),
    [
        ("blocked-candidate", "SAFETY", None),
        ("truncated", "MAX_TOKENS", {"role": "model"}),
        ("empty", "STOP", {"parts": [{"text": ""}], "role": "model"}),
    ],
)
def test_candidate_markers_shape_it(marker: str, reason: str, content: Json | None) -> None:
    candidate = generate(f"[sandbox:{marker}]")["response"]["candidates"][0]
    assert (candidate["finishReason"], candidate.get("content")) == (reason, content)


def test_error_markers_give_errors() -> None:
    assert generate("[sandbox:error]")["error"]["code"] == 13
    assert generate("[sandbox:error 8]")["error"]["code"] == 8
    assert generate("[sandbox:status 3]")["status"]["code"] == 3
    assert "no marker tpyo" in generate("[sandbox:tpyo]")["error"]["message"]


def test_missing_contents_are_an_error() -> None:
    assert answer_generate({}, "m", 0)[0]["error"]["code"] == 3
    assert answer_embed({}, 0)[0]["error"]["code"] == 3


@pytest.mark.parametrize("name", ["outputDimensionality", "output_dimensionality"])
def test_embedding_is_unit_vector(name: str) -> None:
    response = answer_embed({"content": {"parts": [{"text": "one"}]}, name: 3}, 0)[0]["response"]
    assert response["tokenCount"] == "1"
    assert len(response["embedding"]["values"]) == 3
    assert math.isclose(math.hypot(*response["embedding"]["values"]), 1, abs_tol=1e-6)


def test_embedding_defaults_to_768() -> None:
    response = answer_embed({"content": {"parts": [{"text": "one"}]}}, 0)[0]["response"]
    assert len(response["embedding"]["values"]) == 768


def test_embedding_markers_work_too() -> None:
    assert (
        answer_embed({"content": {"parts": [{"text": "[sandbox:error 4]"}]}}, 0)[0]["error"]["code"]
        == 4
    )
