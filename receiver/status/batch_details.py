"""What the storage holds of one batch, as much of it as a page shows: all reading is bounded."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import msgspec

from receiver.errors import ManifestError
from receiver.outputs.judgement import Judgement, judge_manifest
from receiver.outputs.manifest import Manifest, read_manifest
from receiver.outputs.paths import batch_folder, errors_name, index_name, manifest_name
from receiver.status.view_models import OutcomeShare, split_bar
from receiver.storage import Storage
from receiver.storage.replaced import find_replaced
from receiver.tolerant_json import tolerant_reader

PAGE_ROWS = 50
MAX_KEYS = 3  # of an error, as examples
GZIP = 31  # what zlib calls the format
T = TypeVar("T")


@dataclass(frozen=True)
class DetailLimits:
    """How much is read."""

    manifest_bytes: int = 4 * 1024 * 1024  # it names every missing key
    errors_bytes: int = 1024 * 1024
    unpacked_bytes: int = 4 * 1024 * 1024  # of the index at once
    pages: int = 100


LIMITS = DetailLimits()


class OutputRow(msgspec.Struct, frozen=True):
    """A row of the index; what is not shown is left out."""

    line: int
    key: str | None
    outcome: str
    object: str | None = None
    length: int | None = None


class _ErrorRow(msgspec.Struct, frozen=True):
    key: str | None = None
    outcome: str = ""
    code: Any = None
    message: Any = None


_read_output, _read_error = tolerant_reader(OutputRow), tolerant_reader(_ErrorRow)


@dataclass
class ErrorKind:
    """Lines that failed in the same way."""

    code: str
    outcome: str
    message: str  # of the first one
    count: int = 0
    keys: list[str] = field(default_factory=list)  # the first ones


@dataclass(frozen=True)
class Errors:
    """The errors of a batch by their code, most frequent first."""

    kinds: list[ErrorKind]
    read: int  # lines
    is_whole: bool  # else there are more lines than were read


@dataclass(frozen=True)
class Outputs:
    """One page of the index."""

    rows: list[OutputRow]
    page: int  # from 1
    has_more: bool
    is_end: bool  # no further page is shown, though there may be more rows
    folder: str  # that most of the objects are in


@dataclass(frozen=True)
class BatchDetails:
    """What is stored of a batch."""

    manifest: Manifest | None  # None where there is none
    trouble: str  # why a manifest that is there is not shown
    parts: list[OutcomeShare]
    errors: Errors | None
    outputs: Outputs | None
    judgement: Judgement | None = None  # of the manifest
    replaced: list[str] = field(
        default_factory=list
    )  # older manifests that this one took the place of


def read_record(
    storage: Storage, name: str, page: int, limits: DetailLimits = LIMITS
) -> BatchDetails:
    """Raises StorageError when the storage can't be asked."""
    data = _read_start(storage.read_chunks(manifest_name(name)), limits.manifest_bytes)
    if data is None:
        return BatchDetails(None, "", [], None, None)
    try:
        manifest = read_manifest(data)
    except ManifestError as error:
        is_long = len(data) > limits.manifest_bytes
        trouble = (
            "it is too long to be shown here: `batches show` shows it" if is_long else str(error)
        )
        return BatchDetails(None, trouble, [], None, None)
    return BatchDetails(
        manifest=manifest,
        trouble="",
        parts=split_bar(manifest.outcomes, manifest.missing),
        errors=_read_errors(storage, name, limits),
        outputs=_read_outputs(storage, name, page, limits),
        judgement=judge_manifest(manifest),
        replaced=find_replaced(storage, name, data),
    )


def _read_start(chunks: Iterable[bytes] | None, most: int) -> bytes | None:
    """At least `most` bytes of an object, or all of it; None where there is none."""
    if chunks is None:
        return None
    held, length = list[bytes](), 0
    for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length > most:
            break
    return b"".join(held)


def _read_errors(storage: Storage, batch: str, limits: DetailLimits) -> Errors | None:
    data = _read_start(storage.read_chunks(errors_name(batch)), limits.errors_bytes)
    if not data:
        return None
    is_whole = len(data) <= limits.errors_bytes
    lines = data.split(b"\n")[:-1]  # behind the last newline is nothing, or the rest of a cut line
    kinds: dict[tuple[str, str], ErrorKind] = {}
    for row in _rows_of(lines, _read_error):
        code = "" if row.code is None else str(row.code)
        kind = kinds.setdefault(
            (code, row.outcome), ErrorKind(code, row.outcome, str(row.message or ""))
        )
        kind.count += 1
        if row.key is not None and len(kind.keys) < MAX_KEYS:
            kind.keys.append(row.key)
    return Errors(sorted(kinds.values(), key=lambda one: -one.count), len(lines), is_whole)


def _rows_of(lines: Iterable[bytes], read: Callable[[bytes], T]) -> Iterator[T]:
    for line in lines:
        with suppress(
            ValueError, RecursionError
        ):  # msgspec's errors are ValueErrors, and so are json's
            yield read(line)


def _read_outputs(storage: Storage, batch: str, page: int, limits: DetailLimits) -> Outputs | None:
    chunks = storage.read_chunks(index_name(batch))
    if chunks is None:
        return None
    page = min(max(1, page), limits.pages)
    first = (page - 1) * PAGE_ROWS
    lines = list(
        islice(_unpacked_lines(chunks, limits.unpacked_bytes), first, first + PAGE_ROWS + 1)
    )
    rows = list(_rows_of(lines[:PAGE_ROWS], _read_output))
    has_more = len(lines) > PAGE_ROWS
    return Outputs(
        rows,
        page,
        has_more and page < limits.pages,
        has_more and page == limits.pages,
        batch_folder(batch),
    )


def _unpacked_lines(chunks: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """The lines of a gzip, one packed chunk at a time; what is no gzip ends early."""
    unpacker, rest = zlib.decompressobj(GZIP), b""
    for chunk in chunks:
        packed = chunk
        while packed:
            try:
                data = unpacker.decompress(packed, most_bytes)
            except zlib.error:
                return
            packed = unpacker.unconsumed_tail
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
            if len(rest) > most_bytes or unpacker.eof:
                return
