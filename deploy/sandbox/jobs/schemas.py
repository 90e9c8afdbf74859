"""Made-up values that fit a schema, for structured output and the arguments of function calls."""

import random
from typing import Any

from deploy.sandbox.google_api import Json, pick

WORDS = (
    "amber",
    "basil",
    "cedar",
    "ember",
    "fern",
    "grove",
    "harbor",
    "iris",
    "juniper",
    "kelp",
    "lantern",
    "maple",
)
DEPTH_LIMIT = 12
FORMATS = {
    "date-time": "2026-01-22T12:00:00Z",
    "date": "2026-01-22",
    "time": "12:00:00",
    "email": "a@example.com",
}


def make_value(
    schema: Any, rng: random.Random, definitions: Json | None = None, depth: int = 0
) -> Any:
    """Make a value for an OpenAPI schema (`"type": "OBJECT"`) or a JSON Schema (with `$ref`).

    Fills all properties, required or not. A schema that refers to itself ends in null.
    """
    if not isinstance(schema, dict) or depth > DEPTH_LIMIT:
        return None
    definitions = pick(schema, "$defs") or pick(schema, "defs") or definitions or {}
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return rng.choice(schema["enum"])
    other = _stands_for(schema, definitions)
    if other is not None:
        return make_value(other, rng, definitions, depth + 1)
    kind = _type_name(schema)
    if kind == "object":
        return {
            name: make_value(schema["properties"][name], rng, definitions, depth + 1)
            for name in _ordered(schema)
        }
    return (
        _make_array(schema, rng, definitions, depth)
        if kind == "array"
        else _make_scalar(kind, schema, rng)
    )


def make_misfit(schema: Any) -> Any:
    """A value that does not fit a schema, by its type alone."""
    is_list = isinstance(schema, dict) and _type_name(schema) == "array"
    return {"unlike": "the schema"} if is_list else ["unlike", "the schema"]


def _stands_for(schema: Json, definitions: Json) -> Any:
    """The schema that this one refers to, or None."""
    reference = schema.get("$ref") or schema.get("ref")
    if reference:
        return definitions.get(reference.rsplit("/", 1)[-1])
    choices = pick(schema, "anyOf") or pick(schema, "oneOf") or pick(schema, "allOf")
    return _first_real(choices) if choices else None


def _first_real(choices: list[Any]) -> Any:
    """The first choice that is not null."""
    return next((choice for choice in choices if _type_name(choice) != "null"), choices[0])


def _type_name(schema: Json) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if not isinstance(kind, str) or kind == "TYPE_UNSPECIFIED":
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return kind.lower()


def _ordered(schema: Json) -> list[str]:
    names = list(schema.get("properties") or {})
    first = [name for name in pick(schema, "propertyOrdering") or [] if name in names]
    return first + [name for name in names if name not in first]


def _make_array(schema: Json, rng: random.Random, definitions: Json, depth: int) -> list[Any]:
    least = int(pick(schema, "minItems") or 1)
    most = int(pick(schema, "maxItems") or max(least, 3))
    fixed = pick(schema, "prefixItems")
    if fixed:
        return [make_value(item, rng, definitions, depth + 1) for item in fixed]
    return [
        make_value(schema.get("items"), rng, definitions, depth + 1)
        for _ in range(rng.randint(least, most))
    ]


def _make_scalar(kind: str, schema: Json, rng: random.Random) -> Any:
    if kind == "null":
        return None
    if kind == "boolean":
        return rng.random() < 0.5  # noqa: PLR2004 - an even chance
    if kind in ("integer", "number"):
        low = schema.get("minimum", 0)
        high = schema.get("maximum", low + 100)
        return (
            rng.randint(int(low), int(high))
            if kind == "integer"
            else round(rng.uniform(low, high), 2)
        )
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    least, most = int(pick(schema, "minLength") or 0), pick(schema, "maxLength")
    text = make_text(rng, 3).ljust(least, ".")
    return text if most is None else text[: int(most)]


def make_text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words)).capitalize()
