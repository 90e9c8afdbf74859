import random
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from deploy.sandbox.jobs.schemas import make_value


class Address(BaseModel):
    street: str
    number: int | None


class Person(BaseModel):
    name: str
    role: Literal["admin", "guest"]
    height: float
    awake: bool
    home: Address
    others: list[Address]


class Tree(BaseModel):
    children: list["Tree"]


def make(schema: Any) -> Any:
    return make_value(schema, random.Random(1))


def test_pydantic_accepts_what_is_made() -> None:
    for seed in range(20):
        Person.model_validate(make_value(Person.model_json_schema(), random.Random(seed)))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "STRING"}, str),
        ({"type": "INTEGER"}, int),
        ({"type": "NUMBER"}, float),
        ({"type": "BOOLEAN"}, bool),
        ({"type": "ARRAY", "items": {"type": "STRING"}}, list),
        ({"type": "OBJECT", "properties": {}}, dict),
        ({"properties": {"a": {}}}, dict),
        ({"type": ["null", "integer"]}, int),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, str),
        ({"type": "null"}, type(None)),
        ({}, str),
    ],
    ids=str,
)
def test_type_decides_the_value(schema: Any, kind: type) -> None:
    assert type(make(schema)) is kind


def test_bounds_are_kept() -> None:
    for seed in range(30):
        rng = random.Random(seed)
        assert 3 <= make_value({"type": "integer", "minimum": 3, "maximum": 5}, rng) <= 5
        assert (
            len(make_value({"type": "array", "minItems": "2", "maxItems": "2", "items": {}}, rng))
            == 2
        )
        assert len(make_value({"type": "string", "minLength": 40, "maxLength": 41}, rng)) in (
            40,
            41,
        )
        assert make_value({"enum": ["a", "b"]}, rng) in ("a", "b")


def test_ordering_is_followed() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"a": {}, "b": {}, "c": {}},
        "propertyOrdering": ["c", "a"],
    }
    assert list(make(schema)) == ["c", "a", "b"]


def test_endless_schema_ends() -> None:
    assert make(Tree.model_json_schema())["children"]
