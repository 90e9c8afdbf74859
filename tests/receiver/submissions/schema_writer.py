"""Writes what a request may hold, as the official SDK knows it, for
`receiver.submissions.request_schema`.

    python -m tests.receiver.submissions.schema_writer

Types and fields are those of google-genai. Which of them the Gemini API takes (others are for
Vertex AI alone), and which members of the SDK's flat `config` go beside `generationConfig` and not
into it, is read from its converters. A field's form is `string`, `integer`, `int64` (which may be a
text of digits), `number`, `boolean`, `enum`, `any`, the name of a type, `[form]` for a list of it,
or `{form}` for a map of names to it.
"""

import ast
import enum
import inspect
import re
import sys
import typing
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pydantic
from google import genai
from google.genai import batches, types

from receiver.submissions.request_schema import camel

TARGET = Path(__file__).parents[3] / "receiver" / "submissions" / "request_schema.json"
SCALARS: dict[Any, str] = {
    str: "string",
    bytes: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Any: "any",
    datetime: "string",
}
REQUEST, EMBED, CONFIG = "GenerateContentRequest", "EmbedContentRequest", "GenerationConfig"
# What the SDK writes in a form of its own, as the API has it:
# https://ai.google.dev/api/generate-content
FORMS = {
    "system_instruction": "Content",
    "tools": "[Tool]",
    "response_schema": "Schema",
    "speech_config": "SpeechConfig",
}
ALSO = {
    REQUEST: {"model": "string", "contents": "[Content]"},
    EMBED: {"model": "string", "content": "Content"},
    CONFIG: {"_response_json_schema": "any"},  # the API's older name of response_json_schema
}

INT64_TYPES = {"Schema"}  # whose integers are int64, says the same page

Fields = dict[str, str]


class Converter(typing.NamedTuple):
    """Where the SDK's converter for the Gemini API puts the fields of one of its types."""

    own: set[str]  # into the type itself
    parent: set[str]  # beside it
    refused: set[str]  # "only supported in Gemini Enterprise Agent Platform mode"


def read_converters() -> dict[str, Converter]:
    """By the name of the type."""
    found = {}
    for node in ast.parse(inspect.getsource(batches)).body:
        if isinstance(node, ast.FunctionDef) and node.name.endswith("_to_mldev"):
            found[node.name[1:].removesuffix("_to_mldev")] = _read_converter(node)
    return found


def _read_converter(function: ast.FunctionDef) -> Converter:
    converter = Converter(set(), set(), set())
    for node in function.body:
        if not isinstance(node, ast.If):
            continue
        name = ast.literal_eval(
            next(call.args[1] for call in ast.walk(node.test) if isinstance(call, ast.Call))
        )[0]
        done = node.body[0]
        if isinstance(done, ast.Raise):
            converter.refused.add(name)
        elif isinstance(done, ast.Expr) and isinstance(
            done.value, ast.Call
        ):  # setv(object, path, value)
            is_own = ast.unparse(done.value.args[0]) == "to_object"
            (converter.own if is_own else converter.parent).add(name)
    return converter


def form_of(annotation: Any) -> str:
    """The form of a field, by its type."""
    origin, members = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union:
        (member,) = [one for one in members if one is not type(None)]
        return form_of(member)
    if origin is list:
        return f"[{form_of(members[0])}]"
    if origin is dict:
        return "any" if members[1] is Any else f"{{{form_of(members[1])}}}"
    if annotation in SCALARS:
        return SCALARS[annotation]
    if issubclass(annotation, enum.Enum):
        return "enum"
    assert issubclass(annotation, pydantic.BaseModel), annotation
    return str(annotation.__name__)


def fields_of(model: type[pydantic.BaseModel], names: set[str] | None = None) -> Fields:
    """The fields of one of the SDK's types by their names in snake_case."""
    fields = {}
    for name, field in model.model_fields.items():
        if names is None or name in names:
            # One type has a camelCase name.
            snake = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
            assert camel(snake) in (field.alias, name), (model, name)
            form = FORMS.get(name) or form_of(field.annotation)
            fields[snake] = "int64" if form == "integer" and model.__name__ in INT64_TYPES else form
    return fields


def write_schema() -> dict[str, Any]:
    """The types that a request can reach."""
    converters = read_converters()
    flat, embed = converters["GenerateContentConfig"], converters["EmbedContentConfig"]
    whole = fields_of(types.GenerationConfig) | fields_of(types.GenerateContentConfig, flat.own)
    known: dict[str, Fields] = {
        REQUEST: ALSO[REQUEST]
        | fields_of(types.GenerateContentConfig, flat.parent)
        | {"generation_config": CONFIG},
        EMBED: ALSO[EMBED] | fields_of(types.EmbedContentConfig, embed.own | embed.parent),
        CONFIG: ALSO[CONFIG]
        | {name: form for name, form in whole.items() if name not in flat.refused},
    }
    refused = {CONFIG: sorted(flat.refused)}
    open_types = deque(
        form.strip("[]{}") for fields in list(known.values()) for form in fields.values()
    )
    while open_types:
        name = open_types.popleft()
        model = getattr(types, name, None)
        if name in known or model is None:
            continue
        left_out = converters[name].refused if name in converters else set()
        known[name] = {
            field: form for field, form in fields_of(model).items() if field not in left_out
        }
        if left_out:
            refused[name] = sorted(left_out)
        open_types.extend(form.strip("[]{}") for form in known[name].values())
    return {
        "sdk": f"google-genai {genai.__version__}",
        "types": _sorted(known),
        "vertex_only": _sorted(refused),
    }


def _sorted(members: dict[str, Any]) -> dict[str, Any]:
    return {name: members[name] for name in sorted(members)}


def encode_schema(schema: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(schema), indent=1) + b"\n"


if __name__ == "__main__":
    written = write_schema()
    TARGET.write_bytes(encode_schema(written))
    sys.stdout.write(f"{TARGET.name}: {len(written['types'])} types of {written['sdk']}\n")
