"""`_manifest.json`: what became of a batch; the batch is stored once it is written.

It holds nothing of our clock, host or attempt, so that a second run writes the same bytes. From a
stored one the names of its batch can be made again. Pure.
"""

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from receiver.errors import LayoutError, ManifestError
from receiver.outputs.name_codec import Capitals
from receiver.outputs.paths import Namer, Template
from receiver.tolerant_json import tolerant_reader

DEFAULT = Template.parse("{batch}/{key}.json")


class Source(msgspec.Struct, frozen=True):
    """What the outputs were made of."""

    kind: Literal["file", "inline", "none"]
    name: str | None = None  # "files/batch-…"
    bytes: int = 0
    lines: int = 0
    blank: int = 0  # lines of white space, which answer nothing
    sha256: str | None = None  # hex; of inlined responses: one compact line each
    # Why it looks too short, though Gemini gave the same over minutes.
    doubted: str | msgspec.UnsetType = msgspec.UNSET


class Input(msgspec.Struct, frozen=True):
    """The requests as they were sent, where the storage holds them."""

    name: str  # from the storage root
    sha256: str  # hex, of the object
    requests: int  # lines that are not blank


class Objects(msgspec.Struct, frozen=True):
    """The outputs; the records beside them are not counted."""

    count: int = 0
    bytes: int = 0


class Record(msgspec.Struct, frozen=True):
    """One object beside the outputs."""

    name: str  # from the storage root
    sha256: str  # hex, of the object


class Cost(msgspec.Struct, frozen=True):
    """What the batch cost, as exact decimals; `input`, `cached` and `output` are its parts."""

    currency: str  # "USD"
    amount: str  # "1.0675"
    prices: str  # the day of the price list, "2026-10-07"
    input: str
    cached: str
    output: str  # thoughts included


class Priced(msgspec.Struct, frozen=True):
    """How many answers have a price, where the cost of the whole batch is not known."""

    answers: int
    of: int  # all that Gemini may have billed: answers, unreadable lines, missing results
    why: str

    def __str__(self) -> str:
        """For people.

        >>> print(Priced(3, 5, "2 requests have no result"))
        3 of 5 answers are priced: 2 requests have no result
        """
        return f"{self.answers:,} of {self.of:,} answers are priced: {self.why}"


class FormsRecord(msgspec.Struct, frozen=True):
    """What lies beside the raw outputs, where OUTPUT_FORMS asks for more."""

    index: Record  # of every object, and of every answer that could not take a form
    objects: dict[str, int]  # by form
    bytes: int  # of all of them
    failed: dict[str, int]  # answers that could not take a form, and are kept raw; by form
    # sha256 in hex of RESPONSE_SCHEMA; left out without one.
    schema: str | msgspec.UnsetType = msgspec.UNSET


class BatchError(msgspec.Struct, frozen=True):
    """Why Gemini says that the batch failed."""

    code: int | None
    message: str | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, what became of it, what is missing."""

    batch: str  # "batches/<id>"
    project: str | msgspec.UnsetType = msgspec.UNSET  # of Gemini; left out for the default project
    state: str  # as Gemini says: SUCCEEDED, FAILED, CANCELLED or EXPIRED
    display_name: str | None
    model: str | None
    created: str | None  # RFC 3339, by Gemini's clock
    ended: str | None
    source: Source
    input: Input | None
    requests: int | None  # by Gemini's count, else by the input's
    outcomes: dict[str, int]
    # Results under keys that KEY_PATTERN refuses; left out without it.
    unmatched: int | msgspec.UnsetType = msgspec.UNSET
    missing: int | None  # requests without a result
    missing_keys: list[str]  # each key once; empty where the input is not known
    balanced: bool | None  # None: the number of requests is not known
    usage: dict[str, Any]  # tokens
    cost: Cost | Literal["unknown"]
    priced: Priced | msgspec.UnsetType = msgspec.UNSET  # left out where the cost is known
    objects: Objects
    index: Record | None
    retry: Record | None = None
    oversize: list[Record] = []  # lines that were too long to be read
    forms: FormsRecord | msgspec.UnsetType = msgspec.UNSET  # left out where there is raw alone
    error: BatchError | None
    template: str
    # How the names keep capitals; older versions encoded them.
    capitals: Capitals | msgspec.UnsetType = msgspec.UNSET
    key_pattern: str | msgspec.UnsetType = msgspec.UNSET  # KEY_PATTERN; left out without one
    # What the template uses of the webhook's metadata, by name; left out where it uses none.
    meta: dict[str, str | None] | msgspec.UnsetType = msgspec.UNSET
    # The version of the rules that judged the lines; older versions did not record it.
    rules: int | msgspec.UnsetType = msgspec.UNSET
    result_key: str | msgspec.UnsetType = msgspec.UNSET  # RESULT_KEY; left out where it was not set
    version: str  # of the program that wrote it

    @property
    def dollars(self) -> Decimal | None:
        """What the batch cost in US dollars; None where that is not known."""
        cost = self.cost
        if not isinstance(cost, Cost) or cost.currency != "USD":
            return None
        try:
            return Decimal(cost.amount)
        except InvalidOperation:
            return None


_decode_manifest = tolerant_reader(Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    """Indented JSON, for people and programs; in ASCII where a key holds half a surrogate pair."""
    try:
        return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(manifest), indent=2).encode() + b"\n"


def read_manifest(data: bytes) -> Manifest:
    """Read what `encode_manifest` wrote. Raises ManifestError with what is wrong."""
    try:
        return _decode_manifest(data)
    except (ValueError, RecursionError) as error:  # msgspec's and json's are ValueErrors
        raise ManifestError(f"it is not in the form of a manifest: {error}") from error


@dataclass(frozen=True)
class Naming:
    """What the names of a batch were made with; without a reason it is known."""

    template: Template
    unknown: str | None = None  # why the names can't be made again
    off: str | None = None  # what is wrong with what the manifest says of them

    def bind(self, manifest: Manifest) -> Namer:
        return self.template.bind(
            manifest.batch,
            display_name=manifest.display_name,
            model=manifest.model,
            created=manifest.created,
            metadata=manifest.meta or None,
        )


def stored_capitals(manifest: Manifest) -> Capitals:
    """How the names of a stored batch hold capitals."""
    return "encoded" if manifest.capitals is msgspec.UNSET else manifest.capitals


def choose_capitals(replaced: bytes | None, *, tells_case_apart: bool) -> Capitals:
    """How the names of a batch that is about to be written hold capitals.

    `replaced` is the manifest that it takes the place of: where that encoded capitals, they stay
    encoded, so that the outputs are overwritten under their names.
    """
    if replaced is not None and _are_encoded(replaced):
        return "encoded"
    return "kept" if tells_case_apart else "encoded"


def _are_encoded(manifest: bytes) -> bool:
    try:
        return stored_capitals(read_manifest(manifest)) == "encoded"
    except ManifestError:
        return False


def read_naming(manifest: Manifest) -> Naming:
    """The template of a stored batch, as far as its manifest tells it."""
    ours = manifest.rules is not msgspec.UNSET  # else written by a version that told less
    pattern = None if manifest.key_pattern is msgspec.UNSET else manifest.key_pattern
    if not ours and manifest.unmatched is not msgspec.UNSET:
        return Naming(DEFAULT, unknown="its manifest does not tell KEY_PATTERN")
    try:
        template = Template.parse(manifest.template, pattern, stored_capitals(manifest))
    except LayoutError as error:
        words = f"its template is refused today: {error}"
        return Naming(DEFAULT, off=words) if ours else Naming(DEFAULT, unknown=words)
    if not ours and template.meta_values(None):
        return Naming(
            template, unknown="its manifest does not tell the metadata that its template takes"
        )
    return Naming(template)
