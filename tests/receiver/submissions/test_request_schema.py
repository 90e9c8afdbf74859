"""The schema is that of the installed SDK, and takes what the SDK itself would send."""

import json
from typing import Any

import pytest
from google import genai
from google.genai import batches, types
from pydantic import BaseModel

from receiver.submissions.request_faults import find_faults
from receiver.submissions.request_schema import camel, compile_check, read_schema
from tests.receiver.submissions.schema_writer import TARGET, encode_schema, write_schema

CONTENTS = [{"parts": [{"text": "x"}], "role": "user"}]


def fits(request: Any, **how: Any) -> bool:
    return compile_check("generate", in_snake_case=how.get("in_snake_case", False))(request)


def test_schema_is_that_of_its_sdk() -> None:
    if read_schema().sdk != f"google-genai {genai.__version__}":
        pytest.skip(
            f"google-genai {genai.__version__} is here:"
            " run python -m tests.receiver.submissions.schema_writer"
        )
    assert TARGET.read_bytes() == encode_schema(write_schema())


class Recipe(BaseModel):
    name: str
    steps: list[str]


CONFIGS: list[dict[str, Any]] = [
    {
        "system_instruction": "Be brief.",
        "temperature": 0.5,
        "top_p": 1,
        "top_k": 40,
        "max_output_tokens": 10,
        "seed": 1,
    },
    {"stop_sequences": ["x"], "candidate_count": 2, "response_logprobs": True, "logprobs": 3},
    {"presence_penalty": 0.1, "frequency_penalty": 0.1, "response_modalities": ["TEXT", "IMAGE"]},
    {"response_mime_type": "application/json", "response_schema": list[Recipe]},
    {"response_json_schema": {"type": "object", "anything": [1]}},
    {"thinking_config": {"thinking_budget": 0, "include_thoughts": True, "thinking_level": "LOW"}},
    {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
    {
        "tools": [{"google_search": {}}, {"url_context": {}}, {"code_execution": {}}],
        "cached_content": "cachedContents/x",
    },
    {
        "tools": [
            {
                "function_declarations": [
                    {"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}
                ]
            }
        ]
    },
    {"tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}}},
    {"speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}}},
    {
        "image_config": {"aspect_ratio": "1:1", "image_size": "2K"},
        "media_resolution": "MEDIA_RESOLUTION_LOW",
    },
    {"labels": {"team": "blue"}, "service_tier": "flex"},
    {
        "tools": [
            {"file_search": {"file_search_store_names": ["fileSearchStores/x"]}},
            {"google_maps": {}},
        ]
    },
]


@pytest.mark.parametrize("config", CONFIGS)
def test_what_the_sdk_sends_fits(config: dict[str, Any]) -> None:
    """The SDK's own converter writes the request; nothing of it may be unknown to the schema."""
    part = types.Part.from_text(text="x")
    image = types.Part.from_bytes(data=b"x", mime_type="image/png")
    call = types.Part.from_function_call(name="f", args={"free": {"as": ["it", "is"]}})
    back = types.Part.from_function_response(name="f", response={"free": None})
    file = types.Part.from_uri(
        file_uri="https://generativelanguage.googleapis.com/v1beta/files/x", mime_type="a/b"
    )
    asked = types.InlinedRequest(
        contents=[types.Content(role="user", parts=[part, image, call, back, file])],
        config=types.GenerateContentConfig.model_validate(config),
    )
    client = genai.Client(api_key="none")
    sent = batches._InlinedRequest_to_mldev(client._api_client, asked)  # noqa: SLF001 - what it sends is the proof
    request = json.loads(json.dumps(sent["request"], default=_plain))
    assert list(find_faults("generate", request)) == []
    assert fits(request)


def _plain(value: Any) -> Any:
    return (
        value.model_dump(mode="json", exclude_none=True, by_alias=True)
        if isinstance(value, BaseModel)
        else "bytes"
    )


@pytest.mark.parametrize(
    "request_",
    [
        {
            "contents": CONTENTS,
            "generation_config": {"max_output_tokens": 5, "responseMimeType": "text/plain"},
        },
        {
            "contents": CONTENTS,
            "generationConfig": {"maxOutputTokens": 5.0},
            "systemInstruction": None,
        },
        {
            "contents": [
                {"parts": [{"functionCall": {"name": "f", "args": {"no": {"such": "field"}}}}]}
            ]
        },
        {
            "contents": CONTENTS,
            "generation_config": {"response_schema": {"type": "object", "maxItems": "5"}},
        },
        {
            "contents": CONTENTS,
            "generation_config": {
                "response_schema": {"properties": {"any name": {"type": "STRING"}}}
            },
        },
        {
            "contents": CONTENTS,
            "generation_config": {
                "_responseJsonSchema": {"a": 1},
                "response_json_schema": {"b": 2},
            },
        },
        {"contents": CONTENTS, "tools": [{"google_search": {}}], "model": "models/x"},
    ],
)
def test_both_casings_and_free_values_fit(request_: dict[str, Any]) -> None:
    assert list(find_faults("generate", request_)) == []
    assert fits(request_)


def test_camel_case_is_told_apart() -> None:
    request = {"contents": CONTENTS, "generationConfig": {"seed": 1}}
    assert fits(request)
    assert not fits(request, in_snake_case=True)
    assert fits({"contents": CONTENTS, "generation_config": {"seed": 1}}, in_snake_case=True)


def test_embeddings_have_a_form_of_their_own() -> None:
    request = {
        "content": {"parts": [{"text": "x"}]},
        "task_type": "RETRIEVAL_DOCUMENT",
        "outputDimensionality": 64,
    }
    assert compile_check("embed", in_snake_case=False)(request)
    assert not compile_check("embed", in_snake_case=False)({"content": CONTENTS})


@pytest.mark.parametrize("name", ["top_p", "max_output_tokens", "text"])
def test_camel_case_is_the_alias_of_the_sdk(name: str) -> None:
    fields = types.GenerateContentConfig.model_fields | types.Part.model_fields
    assert camel(name) == fields[name].alias
