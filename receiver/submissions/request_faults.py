"""Explains why a request does not fit the schema: what is wrong, where, and what may be meant.
Pure.

Gemini refuses a whole file because of one unknown field, possibly long after the upload.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from receiver.submissions.request_schema import PYTHON_TYPES, ROOTS, camel, is_scalar, read_schema
from receiver.submissions.submission import RequestKind

MAX_FAULTS = 5  # named for one request
NEAR_DEPTH, WHOLE_DEPTH = 2, 9
CLOSE, LOOSE = 0.8, 0.6  # likeness of two names, for difflib
MAX_LISTED = 8
EMBEDDINGS_HINT = " (for embeddings name a model of theirs, or say --embeddings)"
# Names in other APIs and the SDK, in lower case without underscores, and the field that is meant.
FOREIGN_NAMES = {
    "config": "generation_config",
    "parameters": "generation_config",
    "prompt": "contents",
    "messages": "contents",
    "input": "contents",
    "system": "system_instruction",
    "systemprompt": "system_instruction",
    "maxtokens": "generation_config.max_output_tokens",
    "stop": "generation_config.stop_sequences",
    "jsonschema": "generation_config.response_json_schema",
}
EXPECTED = {
    "string": "a text",
    "integer": "a whole number",
    "int64": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "enum": "a text",
}


def find_faults(kind: RequestKind, request: Any) -> Iterator[str]:
    """Unknown or misplaced fields and values of the wrong type, each with its path."""
    return _Walk(kind).faults(ROOTS[kind], request, "request")


def find_misplaced(kind: RequestKind, line: Mapping[str, Any]) -> Iterator[str]:
    """Members beside a line's request, where nothing reads them, which belong into the request."""
    fields = _names(ROOTS[kind], 1)
    settings = (
        _names(read_schema().types[ROOTS[kind]]["generation_config"], 1)
        if kind == "generate"
        else {}
    )
    called = FOREIGN_NAMES if kind == "generate" else {}
    for name in line.keys() - {"key", "request"}:
        plain = _plain(name)
        if plain in fields:
            yield f'{name}: it belongs in "request.{fields[plain]}"'
        elif plain in settings:
            yield f'{name}: it belongs in "request.generation_config.{settings[plain]}"'
        elif plain in called:
            yield f'{name}: no such field; did you mean "request.{called[plain]}"?'


class _Walk:
    def __init__(self, kind: RequestKind) -> None:
        self._kind, self._types = kind, read_schema().types

    def faults(self, form: str, value: Any, path: str) -> Iterator[str]:
        if value is None or form == "any":
            return
        if form in PYTHON_TYPES:
            if not is_scalar(form, value):
                yield f"{path}: {EXPECTED[form]} is expected, not {_said(value)}"
        elif form.startswith("["):
            yield from self._list_faults(form[1:-1], value, path)
        elif type(value) is not dict:
            yield f"{path}: an object is expected, not {_said(value)}"
        elif form.startswith("{"):
            for name, member in value.items():
                yield from self.faults(form[1:-1], member, f"{path}.{name}")
        else:
            yield from self._object_faults(form, value, path)

    def _list_faults(self, form: str, value: Any, path: str) -> Iterator[str]:
        if type(value) is not list:
            yield f"{path}: a list is expected, not {_said(value)}"
            return
        for index, item in enumerate(value):
            yield from self.faults(form, item, f"{path}[{index}]")

    def _object_faults(self, form: str, value: Mapping[str, Any], path: str) -> Iterator[str]:
        fields = both_casings(form)
        for name, member in value.items():
            if name in fields:
                yield from self.faults(fields[name], member, f"{path}.{name}")
            else:
                yield f"{path}.{name}: {self._advise(form, name, path)}"

    def _advise(self, form: str, name: str, path: str) -> str:
        plain = _plain(name)
        if any(_plain(one) == plain for one in read_schema().vertex_only.get(form, [])):
            return "only Vertex AI takes it, not the Gemini API"
        place = self._place(form, plain, path)
        if place is not None:
            return f'it belongs in "{place}"'
        meant = self._meant(form, plain)
        if meant is not None:
            is_embedding = (
                self._kind == "generate" and form == ROOTS["generate"] and name == "content"
            )
            return (
                f'no such field; did you mean "{meant}"?{EMBEDDINGS_HINT if is_embedding else ""}'
            )
        known = sorted(self._types[form])
        return "no such field" + (
            f"; it takes {', '.join(known)}" if len(known) <= MAX_LISTED else ""
        )

    def _place(self, form: str, plain: str, path: str) -> str | None:
        """Where a field of this name exists, unless its own type has one of a similar name."""
        if _closest(plain, _names(form, 1), CLOSE) or self._called_elsewhere(plain):
            return None
        near, everywhere = _names(form, NEAR_DEPTH), _names(ROOTS[self._kind], WHOLE_DEPTH)
        if plain in near:
            return f"{path}.{near[plain]}"
        return f"request.{everywhere[plain]}" if plain in everywhere else None

    def _meant(self, form: str, plain: str) -> str | None:
        """The field that may be meant: its name within the same type, else its path."""
        own, everywhere = _names(form, 1), _names(ROOTS[self._kind], WHOLE_DEPTH)
        far = self._called_elsewhere(plain)
        if near := _closest(plain, own, CLOSE) or (None if far else _closest(plain, own, LOOSE)):
            return near
        far = far or _closest(plain, everywhere, CLOSE)
        return far and f"request.{far}"

    def _called_elsewhere(self, plain: str) -> str | None:
        return FOREIGN_NAMES.get(plain) if self._kind == "generate" else None


@cache
def both_casings(form: str) -> Mapping[str, str]:
    fields = read_schema().types[form]
    return fields | {camel(name): field for name, field in fields.items()}


@cache
def _names(form: str, depth: int) -> Mapping[str, str]:
    """The fields of a type and below by plain name, each with its nearest path.

    A path looks like `contents[].parts[].text`.
    """
    types, names = read_schema().types, dict[str, str]()
    open_types, seen = deque([(form, "", depth)]), {form}
    while open_types:
        name, prefix, left = open_types.popleft()
        for field, inner in types[name].items():
            names.setdefault(_plain(field), f"{prefix}{field}")
            below = inner.strip("[]{}")
            if left > 1 and below in types and below not in seen:
                seen.add(below)
                open_types.append(
                    (below, f"{prefix}{field}{'[]' if inner.startswith('[') else ''}.", left - 1)
                )
    return names


def _closest(plain: str, known: Mapping[str, str], cutoff: float) -> str | None:
    found = get_close_matches(plain, known, 1, cutoff)
    return known[found[0]] if found else None


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _said(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a text" if isinstance(value, str) else f"{value}"
