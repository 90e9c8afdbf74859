"""Describes the API in OpenAPI 3.1, from the very types that its answers are made of."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from receiver.api.operations import OPERATIONS, Operation, Success
from receiver.api.parameters import NONE
from receiver.api.problems import MEDIA_TYPE as PROBLEM
from receiver.api.problems import Problem
from receiver.api.responses import MEDIA_TYPE as JSON
from receiver.api.submitting import MEDIA_TYPES as JSONL
from receiver.api.uploads import MAX_BYTES, MAX_LINES

TITLE = "gemini-batch-receiver"
REFERENCE = "#/components/schemas/{name}"
ALWAYS = {
    400: "Parameters of the address are wrong.",
    401: "The token is missing or wrong.",
    429: "Too many wrong tokens were tried: `Retry-After` says when to go on.",
    500: "This went wrong here.",
}
LINK = {
    "description": 'RFC 8288: the next page, with `rel="next"`, if there may be one.',
    "schema": {"type": "string"},
}
LOCATION = {"description": "Where it can be asked for.", "schema": {"type": "string"}}
PATH_DESCRIPTIONS = {
    "/batches/{id}": "The batch's id at Gemini, without `batches/`.",
    "/submissions/{id}": "The submission's id: 20 hex digits.",
    "key": "The key of the request, percent-encoded; slashes may stay.",
}
Schema = dict[str, Any]


def describe_api(version: str) -> Schema:
    """The OpenAPI document; `version` is the program's."""
    answers = [answer for one in OPERATIONS for answer in one.answers.values()]
    kinds = [Problem, *(kind for answer in answers for kind in answer.kinds)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    by_kind = dict(zip(map(str, kinds), schemas, strict=True))
    paths: dict[str, Schema] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _describe(one, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": version},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "API_TOKEN"}
            },
            "schemas": components,
        },
    }


def _describe(one: Operation, schemas: dict[str, Schema]) -> Schema:
    described: Schema = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [*_path_parameters(one), *_query_parameters(one)],
        "responses": {
            **{
                str(status): _answer(one, answer, schemas) for status, answer in one.answers.items()
            },
            **{
                str(status): {
                    "description": text,
                    "content": {PROBLEM: {"schema": schemas[str(Problem)]}},
                }
                for status, text in sorted((ALWAYS | dict(one.problems)).items())
            },
        },
    }
    if one.method == "POST":
        described["requestBody"] = {
            "description": "One request per line, as `batches submit` reads them from a file; up to"
            f" {MAX_BYTES // 1_000_000} MB and {MAX_LINES:,} lines.",
            "required": True,
            "content": {media_type: {"schema": {"type": "string"}} for media_type in JSONL},
        }
    return described


def _answer(one: Operation, answer: Success, schemas: dict[str, Schema]) -> Schema:
    first, *others = [schemas[str(kind)] for kind in answer.kinds]
    schema = {"anyOf": [first, *others]} if others else first
    described: Schema = {"description": answer.text, "content": {JSON: {"schema": schema}}}
    if one.has_pages:
        described["headers"] = {"Link": LINK}
    if one.method == "POST":
        described["headers"] = {"Location": LOCATION}
    return described


def _path_parameters(one: Operation) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", one.path):
        found = (text for end, text in PATH_DESCRIPTIONS.items() if f"{end}" in one.path)
        said = PATH_DESCRIPTIONS.get(name) or next(found)
        schema = {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "description": said, "schema": schema}


def _query_parameters(one: Operation) -> Iterator[Schema]:
    (_,), components = msgspec.json.schema_components([one.query])
    described = components[one.query.__name__]
    lifted = {
        field.name for field in msgspec.structs.fields(one.query) if field.default is msgspec.UNSET
    }
    for name, schema in described["properties"].items():
        said = _flatten(schema, is_lifted=name in lifted)
        parameter = {"name": name, "in": "query", "required": name in described["required"]}
        if description := said.pop("description", None):
            parameter["description"] = description
        yield parameter | {"schema": said}


def _flatten(schema: Schema, *, is_lifted: bool) -> Schema:
    """A parameter is left out in place of null; one that is lifted says `none`."""
    options = schema.get("anyOf", [schema])
    kept = [one for one in options if one != {"type": "null"}]
    (inner,) = kept
    flat = {name: value for name, value in {**schema, **inner}.items() if name != "anyOf"}
    if flat.get("default") in (None, ""):
        flat.pop("default", None)
    if is_lifted and len(kept) < len(options):
        description = flat.pop("description")
        return {"description": description, "anyOf": [flat, {"const": NONE}]}
    return flat
