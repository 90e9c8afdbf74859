"""Whether two batches could share a name, so that one overwrites outputs of the other. Pure.

A template is sound when {batch} and {key} can be read back from every name. A slash separates two
values, and so does `=`, the one character that a template may hold and `encode_component` never
produces: with a hyphen, `a-b` and `c` give the same as `a` and `b-c`. A date has one length, or is
absent. Once the batch is read, so are its properties, such as the model.
"""

import re
from collections.abc import Callable, Mapping
from itertools import product

from receiver.errors import LayoutError
from receiver.outputs.name_codec import encode_component
from receiver.outputs.templates import (
    FIXED_FIELDS,
    META_PREFIX,
    Field,
    Segment,
    field_names,
    parse_segments,
)

SEPARATOR = "="
DATE = "date"
BATCH = Field("batch")
Values = Mapping[str, str]
Render = Callable[[tuple[Segment, ...], Values], str]


def require_no_clash(
    segments: tuple[Segment, ...], pattern: re.Pattern[str] | None, render: Render
) -> None:
    """Raises LayoutError with two results of one name, and a template that gives them two."""
    fields = field_names(segments)
    readable = _readable_fields(segments)
    if "batch" in readable and ("key" not in fields or "key" in readable):
        return

    need = "" if "batch" in fields else "the template needs {batch}: "
    clash = find_clash(segments, render)
    if clash is None:
        example = "names do not show where {batch} begins or ends"
    else:
        one, other, name = clash
        example = (
            f"two batches can make one name: {_words(one, fields)} and {_words(other, fields)}"
            f" both give {name}"
        )
    raise LayoutError(f"{need}{example}; write {_suggest(segments, pattern)} instead")


def _is_of_batch(name: str) -> bool:
    return name != "key" and (name in FIXED_FIELDS or name.startswith(META_PREFIX))


def _readable_fields(segments: tuple[Segment, ...]) -> set[str]:
    """The fields whose values can be read back from every name."""
    fields, known = set(field_names(segments)), {DATE}
    while True:
        learnt = set().union(*(_read_segment(segment, known) for segment in segments))
        if "batch" in learnt:
            learnt |= {name for name in fields if _is_of_batch(name)}
        if "key" in learnt:
            learnt |= {name for name in fields if not _is_of_batch(name)}
        if learnt <= known:
            return known & fields
        known |= learnt


def _read_segment(segment: Segment, known: set[str]) -> set[str]:
    """The fields of one segment that can be read when some values are known.

    It reads from both ends, up to two values that nothing separates.
    """
    learnt, pieces = set[str](), list(segment)
    for _ in range(2):  # from the left, then from the right
        while pieces and (_name(pieces[0]) in {None, *known} or _is_separator(pieces[1:2])):
            learnt.add(_name(pieces.pop(0)) or "")
        pieces.reverse()
    names = {_name(piece) for piece in pieces} - {None}
    if len(names - known) == 1 and (DATE not in names or "batch" in known):
        learnt |= {name for name in names if name}
    return learnt - {""}


def _name(piece: str | Field) -> str | None:
    return piece.name if isinstance(piece, Field) else None


def _is_separator(pieces: list[str | Field]) -> bool:
    return bool(pieces) and isinstance(pieces[0], str) and SEPARATOR in pieces[0]


def find_clash(segments: tuple[Segment, ...], render: Render) -> tuple[Values, Values, str] | None:
    """Two results of different batches, by their fields, and the name that they share, if any."""
    literals = {piece for segment in segments for piece in segment[1:-1] if isinstance(piece, str)}
    values = [
        "a",
        "b",
        "aa",
        "aba",
        *(text for each in sorted(literals) for text in (f"a{each}a", f"aa{each}")),
    ]
    varied = (name for name in field_names(segments) if name != DATE)
    names = list(dict.fromkeys(("batch", *varied, "key")))

    seen = dict[str, Values]()
    for chosen in product(values, repeat=len(names)):
        one = dict(zip(names, chosen, strict=True))
        encoded = {field: encode_component(text) for field, text in one.items()}
        name = render(segments, {DATE: "2026-01-31"} | encoded)
        other = seen.setdefault(name, one)
        if other["batch"] != one["batch"]:
            return other, one, name
    return None


def _words(values: Values, fields: tuple[str, ...]) -> str:
    return ", ".join(
        f"{name}={value}" for name, value in values.items() if name in {"batch", *fields}
    )


def _suggest(segments: tuple[Segment, ...], pattern: re.Pattern[str] | None) -> str:
    """The same template with the batch as a folder of its own; else the default one."""
    kept = [_without_batch(segment) for segment in segments]
    *folders, last = [part for part in kept if part]
    text = "/".join([*folders, "{batch}", last])
    try:
        parse_segments(text, pattern)
    except LayoutError:
        return "{batch}/{key}.json"
    return text


def _without_batch(segment: Segment) -> str:
    """The segment as text, without {batch} and what stands between it and another field."""
    kept = list[str | Field]()
    for place, piece in enumerate(segment):
        is_between = isinstance(piece, str) and 0 < place < len(segment) - 1
        if piece != BATCH and not (is_between and BATCH in segment[place - 1 : place + 2]):
            kept.append(piece)
    return "".join(piece if isinstance(piece, str) else f"{{{piece.name}}}" for piece in kept)
