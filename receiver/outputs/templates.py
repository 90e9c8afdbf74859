"""Parses and checks OUTPUT_TEMPLATE and KEY_PATTERN; `receiver.outputs.paths` makes names. Pure.

It refuses whatever could lose a result: names that clash, that lead out of the storage root, or
that some storage can't hold.
"""

import re
from dataclasses import dataclass

from receiver.errors import LayoutError
from receiver.outputs.name_codec import guard_device

META_PREFIX = "meta."
FIXED_FIELDS = ("batch", "key", "display_name", "model", "date")
# Five values of 180 characters and these stay under the 1,024 bytes that S3 allows a name.
MAX_FIELDS = 5
MAX_LITERAL_CHARACTERS = 100
_pieces = re.compile(r"\{([^{}]*)\}|([^{}]+)")
_unsafe_literal = re.compile(r"[^A-Za-z0-9._=-]").search


@dataclass(frozen=True)
class Field:
    name: str  # "key", "batch", "meta.team", or a group of KEY_PATTERN


Segment = tuple[str | Field, ...]


def parse_pattern(text: str | None) -> re.Pattern[str] | None:
    """KEY_PATTERN, compiled. Raises LayoutError."""
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise LayoutError(f"it is no regular expression: {error}") from error
    shadowed = sorted({*FIXED_FIELDS, META_PREFIX.removesuffix(".")} & pattern.groupindex.keys())
    if shadowed:
        raise LayoutError(
            f"it names a group {shadowed[0]}, which is a field already; choose another name"
        )
    return pattern


def parse_segments(text: str, pattern: re.Pattern[str] | None) -> tuple[Segment, ...]:
    """What stands between the slashes of a template.

    Raises LayoutError with what is wrong and what would be right.
    """
    if not text or not text.isprintable():
        raise LayoutError(
            "the template is empty or holds control characters; write one such as"
            " {batch}/{key}.json"
        )
    segments = tuple(_parse_segment(part) for part in text.split("/"))
    fields = field_names(segments)
    _check_fields(fields, tuple(pattern.groupindex) if pattern else ())
    _check_size(text, fields)
    if "key" in fields:
        _check_key_place(segments)
    else:
        _check_grouping(segments)
    return segments


def field_names(segments: tuple[Segment, ...]) -> tuple[str, ...]:
    """Every field in its order, repeats included."""
    return tuple(
        piece.name for segment in segments for piece in segment if isinstance(piece, Field)
    )


def _parse_segment(part: str) -> Segment:
    if not part:
        raise LayoutError(
            "the template has an empty part: no slash at its start or end, and no two in a row"
        )
    found = list(_pieces.finditer(part))
    if sum(len(match[0]) for match in found) != len(part):
        raise LayoutError(f"the braces of {part!r} don't pair up; a field is written {{key}}")
    segment = tuple(match[2] or Field(match[1]) for match in found)
    _check_literals(segment, part)
    return segment


def _check_literals(segment: Segment, part: str) -> None:
    for piece in segment:
        unsafe = _unsafe_literal(piece) if isinstance(piece, str) else None
        if unsafe:
            raise LayoutError(
                f"the template can't hold {unsafe[0]!r}; outside braces write letters, digits and"
                " . _ - = only"
            )
    first, last = segment[0], segment[-1]
    if isinstance(first, str) and first.startswith(("_", ".")):
        raise LayoutError(
            f"{part!r} can't begin with {first[0]!r}: such names are the receiver's own, hidden, or"
            " lead out; choose another beginning"
        )
    if isinstance(last, str) and last.endswith("."):
        raise LayoutError(f"{part!r} can't end with a dot, which Windows drops: take it off")
    if isinstance(first, str) and guard_device(first) != first:
        raise LayoutError(f"{part!r} begins like a device of Windows; choose another word")


def _check_fields(fields: tuple[str, ...], captured: tuple[str, ...]) -> None:
    for name in fields:
        is_meta = name.startswith(META_PREFIX) and name != META_PREFIX
        if not is_meta and name not in FIXED_FIELDS and name not in captured:
            known = ", ".join((*FIXED_FIELDS, "meta.<name>", *captured))
            raise LayoutError(
                f"the template's field {{{name}}} is unknown; known: {known}; KEY_PATTERN's groups"
                " add to them"
            )


def _check_size(text: str, fields: tuple[str, ...]) -> None:
    literals = len(_pieces.sub(lambda match: match[2] or "", text))
    if len(fields) > MAX_FIELDS or literals > MAX_LITERAL_CHARACTERS:
        raise LayoutError(
            f"the template is too long for the names of S3: at most {MAX_FIELDS} fields"
            f" and {MAX_LITERAL_CHARACTERS} other characters"
        )


def _check_key_place(segments: tuple[Segment, ...]) -> None:
    for segment in segments:
        names = field_names((segment,))
        from_key = [
            name for name in names if name not in FIXED_FIELDS and not name.startswith(META_PREFIX)
        ]
        if "key" in names and from_key:
            raise LayoutError(
                f"{{{from_key[0]}}} and {{key}} need a slash between them, or two keys could share"
                " a name"
            )
    ending = segments[-1][-1]
    if len(segments) == 1 and not (isinstance(ending, str) and "." in ending):
        raise LayoutError(
            "a template without a slash needs an ending such as .json, or a key could be a batch's"
            " folder"
        )


def _check_grouping(segments: tuple[Segment, ...]) -> None:
    last = segments[-1][-1]
    if not isinstance(last, str) or not last.endswith(".jsonl"):
        raise LayoutError(
            "a template without {key} puts many results into one object, and must end with .jsonl"
        )
