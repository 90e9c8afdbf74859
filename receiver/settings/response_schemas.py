"""RESPONSE_SCHEMA: the JSON Schema of structured answers.

Needs the package jsonschema, from the extra `schema`.
"""

import importlib
import json
from collections.abc import Collection, Iterator
from typing import Any

from receiver.settings.parsers import read_setting_file

REFERENCES = ("$ref", "$dynamicRef")


def parse_response_schema(text: str) -> dict[str, Any] | None:
    """The schema itself, or the one in the file of that name; None for no text.

    It may refer to its own parts only: a schema must not make a worker fetch anything.
    Raises ValueError with what is wrong.
    """
    if not text:
        return None
    data = text.encode() if text.startswith("{") else read_setting_file(text)
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"the schema is not JSON: {error}; give a file of JSON, or a JSON object"
        ) from error
    if not isinstance(schema, dict):
        raise ValueError("the schema is not a JSON object: write it as {…}")  # noqa: TRY004 - a setting is wrong
    for reference in _references(schema):
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise ValueError(
                f"the schema refers to {reference!r}; it may refer to its own parts only, with #/…"
            )
    build_validator(schema)
    return schema


def require_json_form(
    schema: dict[str, Any] | None, forms: Collection[str]
) -> dict[str, Any] | None:
    """The schema. Raises ValueError where no form would use it."""
    if schema is not None and "json" not in forms:
        raise ValueError("it is of use only where OUTPUT_FORMS has json: add that, or unset this")
    return schema


def build_validator(schema: dict[str, Any]) -> Any:
    """A `jsonschema` validator that never fetches anything. Raises ValueError."""
    try:
        jsonschema, referencing = (
            importlib.import_module("jsonschema"),
            importlib.import_module("referencing"),
        )
    except ImportError as error:
        raise ValueError(
            "a schema needs the package jsonschema: pip install -e '.[schema]'"
        ) from error
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
        registry = referencing.Registry()
        root = referencing.jsonschema.DRAFT202012.create_resource(schema)
        for reference in _references(schema):
            registry.resolver_with_root(root).lookup(reference)
    except jsonschema.exceptions.SchemaError as error:
        place = "/".join(str(step) for step in error.absolute_path)
        raise ValueError(
            f"this is no JSON Schema: at {place or 'its top'}: {error.message[:200]}"
        ) from error
    except referencing.exceptions.Unresolvable as error:
        raise ValueError(f"the schema refers to what it does not hold: {error.ref}") from error
    except RecursionError as error:
        raise ValueError("the schema is nested too deeply") from error
    return kind(schema, registry=registry)


def _references(schema: object) -> Iterator[Any]:
    """Every reference in a schema, at whatever depth."""
    parts = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            yield from (part[name] for name in REFERENCES if name in part)
            parts += part.values()
        elif isinstance(part, list):
            parts += part
