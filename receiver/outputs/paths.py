"""Names of a batch's objects below the storage root, from OUTPUT_TEMPLATE and KEY_PATTERN. Pure.

`{batch}/{key}.json` gives every result its own object, `{batch}/{lang}.jsonl` groups the results by
a named group of KEY_PATTERN, `{batch}/all.jsonl` puts them into one. Our own objects begin with
`_`, which no template can produce. Every value passes through `encode_component`, so that a hostile
key stays one safe component.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from receiver.batch_names import BatchName
from receiver.outputs.clashes import require_no_clash
from receiver.outputs.name_codec import (
    ABSENT_COMPONENT,
    Capitals,
    encode_component,
    guard_device,
    hashed_component,
)
from receiver.outputs.templates import (
    META_PREFIX,
    Field,
    Segment,
    field_names,
    parse_pattern,
    parse_segments,
)

MAX_SEGMENT_CHARACTERS = 240  # file systems allow 255, and a temporary name needs a few more
CACHED_GROUPS = 4096
_extension = re.compile(r"(?:\.[a-z0-9]{1,8})?\Z").search


def batch_folder(batch: str) -> str:
    """The folder of a batch's own objects. Here `batch` is its name in any of its forms."""
    return encode_component(BatchName.read(batch).id)


def manifest_name(batch: str) -> str:
    return f"{batch_folder(batch)}/_manifest.json"


def index_name(batch: str) -> str:
    return f"{batch_folder(batch)}/_index.jsonl.gz"


def signature_name(batch: str, manifest_sha256: str) -> str:
    """The signature of a manifest: one per content, so that workers never replace each other's."""
    return f"{batch_folder(batch)}/_manifest.{manifest_sha256[:16]}.sig"


def errors_name(batch: str) -> str:
    return f"{batch_folder(batch)}/_errors.jsonl"


def forms_name(batch: str) -> str:
    """The list of the objects of the batch's forms."""
    return f"{batch_folder(batch)}/_forms.jsonl.gz"


def table_name(batch: str) -> str:
    """The table of a batch, without the ending, which depends on its form."""
    return f"{batch_folder(batch)}/_table"


def input_name(batch: str) -> str:
    """The requests of a batch as they were sent: gzip of JSON lines."""
    return f"{batch_folder(batch)}/_input.jsonl.gz"


def retry_name(batch: str) -> str:
    return f"{batch_folder(batch)}/_retry.jsonl"


def unmatched_places(batch: str) -> tuple[str, str]:
    """Where results go whose key KEY_PATTERN does not match.

    The object is for a template that groups, the folder for another.
    """
    folder = batch_folder(batch)
    return f"{folder}/_unmatched.jsonl", f"{folder}/_unmatched/"


def unkeyed_name(batch: str, number: int, *, groups: bool) -> str:
    """The result of line or index `number` where it has no key; `groups` is the template's."""
    folder = batch_folder(batch)
    return f"{folder}/_unkeyed.jsonl" if groups else f"{folder}/_unkeyed/{number}.json"


def oversize_name(batch: str, number: int) -> str:
    """The line of that number, complete, where it is too long to be parsed."""
    return f"{batch_folder(batch)}/_oversize/{number}.jsonl"


@dataclass(frozen=True)
class Template:
    """A checked OUTPUT_TEMPLATE. Make it with `parse`."""

    text: str
    segments: tuple[Segment, ...]  # what stands between slashes
    pattern: re.Pattern[str] | None  # must match a whole key
    capitals: Capitals = "encoded"  # "kept" needs a storage that tells case apart

    @classmethod
    def parse(
        cls, text: str, key_pattern: str | None = None, capitals: Capitals = "encoded"
    ) -> "Template":
        """Read OUTPUT_TEMPLATE and KEY_PATTERN.

        Raises LayoutError with what is wrong and what would be right.
        """
        pattern = parse_pattern(key_pattern)
        segments = parse_segments(text, pattern)
        require_no_clash(segments, pattern, _render)
        return cls(text, segments, pattern, capitals)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field in its order, repeats included."""
        return field_names(self.segments)

    @property
    def groups(self) -> bool:
        """Whether many results share an object."""
        return "key" not in self.fields

    @property
    def ending(self) -> str:
        """What every name ends with, such as ".json"; empty where the template sets no ending."""
        last = self.segments[-1][-1]
        found = _extension(last) if isinstance(last, str) else None
        return found[0] if found else ""

    def bind(
        self,
        batch: str,
        display_name: str | None = None,
        model: str | None = None,
        created: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> "Namer":
        """The names of one batch: `batch` is its name in any of its forms, `created` RFC 3339."""
        given = {
            "display_name": display_name,
            "model": model.removeprefix("models/") if model else None,
            "date": _utc_date(created),
        }
        given |= {META_PREFIX + name: value for name, value in self.meta_values(metadata).items()}
        values = {name: _component(value, self.capitals) for name, value in given.items()}
        values["batch"] = batch_folder(batch)
        return Namer(self, batch, values)

    def meta_values(self, metadata: Mapping[str, object] | None) -> dict[str, str | None]:
        """What the names use of the webhook's metadata, by name; enough for `bind`."""
        names = [
            name.removeprefix(META_PREFIX) for name in self.fields if name.startswith(META_PREFIX)
        ]
        return {name: _plain_text((metadata or {}).get(name)) for name in names}

    def example(self) -> str:
        """A name that this template could make, to show at start."""
        known = {
            "batch": "b1x7",
            "key": "request-1",
            "date": "2026-01-31",
            "model": "gemini-3.5-flash",
        }
        values = {name: known.get(name, name.rpartition(".")[2]) for name in self.fields}
        return _render(
            self.segments, {name: encode_component(value) for name, value in values.items()}
        )


class Namer:
    """Names the results of one batch."""

    def __init__(self, template: Template, batch: str, values: Mapping[str, str]) -> None:
        self.batch = batch
        self._encode = partial(encode_component, capitals=template.capitals)
        self._capitals = template.capitals
        self.groups = template.groups  # whether many results share an object
        # Results so far whose key KEY_PATTERN does not match; None without a pattern.
        self.unmatched: int | None = 0 if template.pattern else None
        # Of this batch alone; None where it shares all folders with others.
        self.folder = _own_folder(template.segments, values)
        self._segments = tuple(_fill(segment, values) for segment in template.segments)
        self._pattern = template.pattern
        captured = [name for name in template.fields if name != "key" and name not in values]
        self._captured = tuple(dict.fromkeys(captured))
        self._grouped: dict[object, str] = {}
        self._around_key = None if self._pattern else _around_key(self._segments)

    def name(self, key: str) -> str:
        """The object of the result under `key`, from the storage root.

        Keys that KEY_PATTERN does not match share a place.
        """
        if self._around_key is not None:
            return f"{self._around_key[0]}{self._encode(key)}{self._around_key[1]}"
        match = self._pattern.fullmatch(key) if self._pattern else None
        if self._pattern and not match:
            return self._name_unmatched(key)
        if not self.groups:
            return self._render(match, key)
        group = match.group(*self._captured) if match and self._captured else ""
        name = self._grouped.get(group)
        if name is None:
            if len(self._grouped) >= CACHED_GROUPS:
                self._grouped.clear()
            name = self._grouped[group] = self._render(match, "")
        return name

    def _name_unmatched(self, key: str) -> str:
        self.unmatched = (self.unmatched or 0) + 1
        shared, folder = unmatched_places(self.batch)
        return shared if self.groups else f"{folder}{self._encode(key)}.json"

    def _render(self, match: re.Match[str] | None, key: str) -> str:
        values = (
            {name: _component(match[name], self._capitals) for name in self._captured}
            if match
            else {}
        )
        return _render(self._segments, values | {"key": self._encode(key)})


def _fill(segment: Segment, values: Mapping[str, str]) -> Segment:
    return tuple(
        values.get(piece.name, piece) if isinstance(piece, Field) else piece for piece in segment
    )


def _own_folder(segments: tuple[Segment, ...], values: Mapping[str, str]) -> str | None:
    """The folders that every name of this batch begins with, up to the one of the batch."""
    for count, segment in enumerate(segments[:-1], 1):
        fields = field_names((segment,))
        if not values.keys() >= set(fields):
            return None
        if fields == ("batch",):
            return _render(segments[:count], values)
    return None


def _render(segments: tuple[Segment, ...], values: Mapping[str, str]) -> str:
    return "/".join(
        _whole_segment(
            "".join(piece if isinstance(piece, str) else values[piece.name] for piece in segment)
        )
        for segment in segments
    )


def _whole_segment(text: str) -> str:
    """Several safe values together can name a device of Windows, or be too long."""
    if len(text) <= MAX_SEGMENT_CHARACTERS:
        return guard_device(text)
    extension = _extension(text)
    return hashed_component(guard_device(text), text) + (extension[0] if extension else "")


def _around_key(segments: tuple[Segment, ...]) -> tuple[str, str] | None:
    """What stands before and after the key, where nothing else varies: so in most templates."""
    marked = [
        index
        for index, segment in enumerate(segments)
        if any(isinstance(piece, Field) for piece in segment)
    ]
    if len(marked) != 1:
        return None
    (index,) = marked
    key, *rest = segments[index]
    suffix = "".join(piece for piece in rest if isinstance(piece, str))
    room = MAX_SEGMENT_CHARACTERS - len(encode_component("x" * 180))
    if (
        isinstance(key, str)
        or any(isinstance(piece, Field) for piece in rest)
        or len(suffix) > room
    ):
        return None
    if suffix and not suffix.startswith("."):
        return None
    before, after = _render(segments[:index], {}), _render(segments[index + 1 :], {})
    return f"{before}/" if before else "", f"{suffix}/{after}" if after else suffix


def _component(value: str | None, capitals: Capitals) -> str:
    return ABSENT_COMPONENT if value is None else encode_component(value, capitals)


def _plain_text(value: object) -> str | None:
    """A metadata value as text: strings as they are, everything else as compact JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _utc_date(created: str | None) -> str | None:
    try:
        moment = datetime.fromisoformat(created or "")
        in_utc = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return in_utc.date().isoformat()
