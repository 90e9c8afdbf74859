"""Pure: what a request may hold, by the official SDK's types, and whether one does hold nothing else.

`request_schema.json` beside this file is written by `python -m tests.receiver.submissions.schema_writer`, which says
what its forms mean. Gemini takes names in snake_case and in camelCase.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from receiver.submissions.parts import Kind

ROOTS: dict[Kind, str] = {"generate": "GenerateContentRequest", "embed": "EmbedContentRequest"}
Fits = Callable[[Any], bool]
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float),  # 5.0 is an integer too
    "int64": (int, float, str),  # the API writes these as texts
    "number": (int, float),
    "boolean": (bool,),
    "enum": (str, int),
}


class Schema(msgspec.Struct, frozen=True):
    """`request_schema.json`."""

    sdk: str  # "google-genai 3.6.1"
    types: dict[str, dict[str, str]]  # form of each field of each type, by its name in snake_case
    vertex_only: dict[str, list[str]]  # fields that the SDK knows and the Gemini API does not take


def camel(name: str) -> str:
    """The same name as JSON of Google's APIs has it.

    >>> camel("max_output_tokens")
    'maxOutputTokens'
    """
    start = "_" if name.startswith("_") else ""
    first, *others = name.removeprefix(start).split("_")
    return start + first + "".join(word.capitalize() for word in others)


@cache
def read_schema() -> Schema:
    return msgspec.json.decode(Path(__file__).with_suffix(".json").read_bytes(), type=Schema)


def is_scalar(form: str, value: Any) -> bool:
    """Whether a JSON value is of a form that names no type."""
    if type(value) not in PYTHON_TYPES[form]:  # to isinstance, a bool is an int
        return False
    if form not in ("integer", "int64") or isinstance(value, int):
        return True
    return value.isdecimal() if isinstance(value, str) else float(value).is_integer()


@cache
def compile_check(kind: Kind, *, in_snake_case: bool) -> Fits:
    """A quick check of a whole request: every field is known and has its form, null or not.

    With `in_snake_case`, names in camelCase do not pass.
    """
    return _Compiler(read_schema().types, in_snake_case=in_snake_case).of(ROOTS[kind])


class _Compiler:
    def __init__(self, types: Mapping[str, Mapping[str, str]], *, in_snake_case: bool) -> None:
        self._types, self._in_snake_case = types, in_snake_case
        self._objects: dict[str, Fits] = {}

    def of(self, form: str) -> Fits:
        if form == "any":
            return lambda _value: True
        if form.startswith("["):
            return _list_check(self.of(form[1:-1]))
        if form.startswith("{"):
            return _map_check(self.of(form[1:-1]))
        if form in PYTHON_TYPES:
            return _scalar_check(form)
        return self._objects.get(form) or self._object(form)

    def _object(self, form: str) -> Fits:
        checks: dict[str, Fits] = {}
        self._objects[form] = check = _object_check(
            checks
        )  # types hold themselves, so it is known before its fields
        for name, field in self._types[form].items():
            checks[name] = self.of(field)
            if not self._in_snake_case:
                checks[camel(name)] = checks[name]
        return check


def _object_check(checks: Mapping[str, Fits]) -> Fits:
    find = checks.get

    def fits(value: Any) -> bool:
        if type(value) is not dict:
            return value is None
        for name, member in value.items():
            check = find(name)
            if check is None or not check(member):
                return False
        return True

    return fits


def _list_check(check: Fits) -> Fits:
    def fits(value: Any) -> bool:
        if type(value) is not list:
            return value is None
        return all(map(check, value))

    return fits


def _map_check(check: Fits) -> Fits:
    def fits(value: Any) -> bool:
        if type(value) is not dict:
            return value is None
        return all(map(check, value.values()))

    return fits


def _scalar_check(form: str) -> Fits:
    if form in ("string", "boolean"):
        (kind,) = PYTHON_TYPES[form]
        return lambda value: type(value) is kind or value is None
    return lambda value: value is None or is_scalar(form, value)
