"""The columns that an export adds to those of the input, and what a row has in them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

Kind = Literal["text", "integer", "number", "boolean", "json", "vector", "decimal"]

ANSWER = "answer"
OUTCOME, ERROR, COST, TOKENS, BATCH = "_outcome", "_error", "_cost", "_tokens", "_batch"
FACTS: Mapping[str, Kind] = {
    OUTCOME: "text",
    ERROR: "text",
    COST: "decimal",
    TOKENS: "integer",
    BATCH: "text",
}
INVALID = "invalid"  # answered, but not in the form of the schema
SCALARS: Mapping[str, Kind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}
MAX_INTEGER = 2**63 - 1
SHOWN_CHARACTERS = 60


class WrongAnswerError(ValueError):
    """An answer does not have the fields of its schema."""


@dataclass(frozen=True)
class Column:
    """One column of answers."""

    name: str  # in the export
    kind: Kind
    field: str | None = None  # of the schema; None: the whole answer
    is_required: bool = False
    may_be_null: bool = True


@dataclass(frozen=True)
class AnswerColumns:
    """What answers become: one column, or one for each field of their schema."""

    columns: tuple[Column, ...]
    facts: tuple[str, ...]  # the names of FACTS in this export, in its order

    @classmethod
    def choose(
        cls, taken: Iterable[str], schema: dict[str, Any] | None, *, is_embedding: bool
    ) -> "AnswerColumns":
        """Columns whose names do not clash with those of the input."""
        names = set(taken)
        fields = schema_fields(schema)
        if fields is None:
            kind: Kind = "vector" if is_embedding else "json" if schema else "text"
            columns = [Column(_free(ANSWER, names), kind)]
        else:
            required = set((schema or {}).get("required") or ())
            columns = [
                Column(
                    _free(name, names),
                    field_kind(one),
                    name,
                    is_required=name in required,
                    may_be_null=_may_be_null(one),
                )
                for name, one in fields.items()
            ]
        return cls(tuple(columns), tuple(_free(name, names) for name in FACTS))

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each column of the export, by its name, in order."""
        answers = {one.name: one.kind for one in self.columns}
        return answers | dict(zip(self.facts, FACTS.values(), strict=True))

    @property
    def is_structured(self) -> bool:
        return any(one.field is not None for one in self.columns)

    def split_text(self, text: str) -> list[Any]:
        """The cells of a textual answer. Raises WrongAnswerError."""
        if len(self.columns) == 1 and self.columns[0].field is None:
            return [text if self.columns[0].kind == "text" else _compact(text)]
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise WrongAnswerError(f"the answer is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise WrongAnswerError("the answer is no JSON object")
        return [_cell(one, found) for one in self.columns]


def schema_fields(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """The properties of an object's schema; None for any other schema."""
    if not schema or str(schema.get("type", "object")).lower() != "object":
        return None
    fields = schema.get("properties")
    return fields if isinstance(fields, dict) and fields else None


def field_kind(field: Any) -> Kind:
    """The type of one field; what has no simple one becomes JSON text.

    >>> field_kind({"type": ["integer", "null"]}), field_kind({"type": "array"})
    ('integer', 'json')
    """
    kinds = field.get("type") if isinstance(field, dict) else None
    named = [str(one).lower() for one in (kinds if isinstance(kinds, list) else [kinds])]
    real = [one for one in named if one != "null"]
    return SCALARS.get(real[0], "json") if len(real) == 1 else "json"


def _may_be_null(field: Any) -> bool:
    if not isinstance(field, dict):
        return True
    kinds = field.get("type")
    return (
        kinds is None
        or (isinstance(kinds, list) and "null" in kinds)
        or bool(field.get("nullable"))
    )


def _free(name: str, names: set[str]) -> str:
    """The name, or one beside it that is not taken; it is taken from now on."""
    chosen = name
    while chosen in names:
        chosen = f"answer{chosen}" if chosen.startswith("_") else f"answer_{chosen}"
    names.add(chosen)
    return chosen


def _compact(text: str) -> str:
    try:
        return msgspec.json.format(text.encode(), indent=-1).decode()
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise WrongAnswerError(f"the answer is no JSON: {error}") from error


def _cell(column: Column, found: dict[str, Any]) -> Any:
    """The value of a field in its column's type. Raises WrongAnswerError."""
    assert column.field is not None  # noqa: S101 - for the type checker: of a schema's field
    if column.field not in found:
        if column.is_required:
            raise WrongAnswerError(f"the answer has no {column.field!r}")
        return None
    value = found[column.field]
    if value is None:
        if column.is_required and not column.may_be_null:
            raise WrongAnswerError(f"{column.field!r} is null")
        return None
    if not _fits(value, column.kind):
        shown = repr(value)[:SHOWN_CHARACTERS]
        raise WrongAnswerError(f"{column.field!r} is {shown}, which is no {column.kind}")
    if column.kind == "json":
        return msgspec.json.encode(value).decode()
    return float(value) if column.kind == "number" else value


def _fits(value: Any, kind: Kind) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return type(value) is int and abs(value) <= MAX_INTEGER
        case "number":
            return type(value) in {int, float}
        case _:
            return True
