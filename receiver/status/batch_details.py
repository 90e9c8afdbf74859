"""What the storage has of one batch, as far as a page shows it: everything read is bounded."""

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
from receiver.status.view_models import OutcomeShare, share_outcomes
from receiver.storage import Storage
from receiver.storage.replaced import find_replaced
from receiver.tolerant_json import tolerant_reader

PAGE_ROWS = 50
MAX_KEYS = 3  # of an error, as examples
GZIP = 31  # zlib's number of the format
T = TypeVar("T")


@dataclass(frozen=True)
class DetailLimits:
    """How much is read."""

    manifest_bytes: int = 4 * 1024 * 1024  # it names every missing key
    errors_bytes: int = 1024 * 1024
    unpacked_bytes: int = 4 * 1024 * 1024  # of the index at once
    pages: int = 100  # of the index


LIMITS = DetailLimits()


class OutputRow(msgspec.Struct, frozen=True):
    """A row of the index, without what is not shown."""

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
    message: str  # of the first line
    count: int = 0
    keys: list[str] = field(default_factory=list)  # of the first lines


@dataclass(frozen=True)
class Errors:
    """The errors of a batch by their code, most frequent first."""

    kinds: list[ErrorKind]
    read: int  # lines
    is_whole: bool  # whether all lines were read


@dataclass(frozen=True)
class Outputs:
    """One page of the index."""

    rows: list[OutputRow]
    page: int  # from 1
    has_more: bool
    is_end: bool  # the last page that is shown, though there are more rows


@dataclass(frozen=True)
class BatchDetails:
    """What is stored of a batch."""

    folder: str  # where most of its objects are, below the root of the storage
    manifest: Manifest | None = None  # None where there is none
    problem: str = ""  # why there is a manifest that can't be shown
    shares: list[OutcomeShare] = field(default_factory=list)
    errors: Errors | None = None
    outputs: Outputs | None = None
    judgement: Judgement | None = None  # of the manifest
    # Older manifests that this one has replaced.
    replaced: list[str] = field(default_factory=list)


def read_batch_details(
    storage: Storage, name: str, page: int, limits: DetailLimits = LIMITS
) -> BatchDetails:
    """What is stored of a batch, with one page of its outputs.

    Raises StorageError when the storage can't be asked.
    """
    folder = batch_folder(name)
    data = _read_start(storage.read_chunks(manifest_name(name)), limits.manifest_bytes)
    if data is None:
        return BatchDetails(folder)

    try:
        manifest = read_manifest(data)
    except ManifestError as error:
        is_long = len(data) > limits.manifest_bytes
        too_long = "it is too long to be shown here: `batches show` shows it"
        return BatchDetails(folder, problem=too_long if is_long else str(error))

    return BatchDetails(
        folder=folder,
        manifest=manifest,
        shares=share_outcomes(manifest.outcomes, manifest.missing),
        errors=_read_errors(storage, name, limits),
        outputs=_read_outputs(storage, name, page, limits),
        judgement=judge_manifest(manifest),
        replaced=find_replaced(storage, name, data),
    )


def _read_start(chunks: Iterable[bytes] | None, limit_bytes: int) -> bytes | None:
    """A little more than the limit, or the whole object; None where there is none."""
    if chunks is None:
        return None
    start = bytearray()
    for chunk in chunks:
        start += chunk
        if len(start) > limit_bytes:
            break
    return bytes(start)


def _read_errors(storage: Storage, batch: str, limits: DetailLimits) -> Errors | None:
    data = _read_start(storage.read_chunks(errors_name(batch)), limits.errors_bytes)
    if not data:
        return None
    lines = data.split(b"\n")[:-1]  # the last one is empty or cut

    kinds: dict[tuple[str, str], ErrorKind] = {}
    for row in _read_rows(lines, _read_error):
        code = "" if row.code is None else str(row.code)
        first = ErrorKind(code, row.outcome, str(row.message or ""))
        kind = kinds.setdefault((code, row.outcome), first)
        kind.count += 1
        if row.key is not None and len(kind.keys) < MAX_KEYS:
            kind.keys.append(row.key)

    by_count = sorted(kinds.values(), key=lambda kind: -kind.count)
    return Errors(by_count, len(lines), len(data) <= limits.errors_bytes)


def _read_rows(lines: Iterable[bytes], read: Callable[[bytes], T]) -> Iterator[T]:
    """The rows, without lines that are none."""
    for line in lines:
        # Errors of msgspec and json are ValueErrors.
        with suppress(ValueError, RecursionError):
            yield read(line)


def _read_outputs(storage: Storage, batch: str, page: int, limits: DetailLimits) -> Outputs | None:
    chunks = storage.read_chunks(index_name(batch))
    if chunks is None:
        return None
    page = min(max(1, page), limits.pages)
    first = (page - 1) * PAGE_ROWS
    all_lines = _unpack_lines(chunks, limits.unpacked_bytes)
    lines = list(islice(all_lines, first, first + PAGE_ROWS + 1))
    has_more = len(lines) > PAGE_ROWS

    return Outputs(
        rows=list(_read_rows(lines[:PAGE_ROWS], _read_output)),
        page=page,
        has_more=has_more and page < limits.pages,
        is_end=has_more and page == limits.pages,
    )


def _unpack_lines(chunks: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """The lines of a gzip, in bounded memory; they end early at what is no gzip."""
    unpacker, rest = zlib.decompressobj(GZIP), b""
    for chunk in chunks:
        packed = chunk
        while packed:
            try:
                data = unpacker.decompress(packed, limit_bytes)
            except zlib.error:
                return
            packed = unpacker.unconsumed_tail
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
            if len(rest) > limit_bytes or unpacker.eof:
                return
