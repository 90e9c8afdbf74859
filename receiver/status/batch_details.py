"""What the storage has of one batch, as far as a page shows it: everything read is bounded."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from receiver.answers.index_rows import StoredRow
from receiver.answers.index_search import IndexSearch
from receiver.answers.packed_lines import MIB, SearchLimits
from receiver.errors import ManifestError, StorageError
from receiver.outputs.judgement import Judgement, judge_manifest
from receiver.outputs.manifest import Manifest, read_manifest
from receiver.outputs.outcomes import FAILED, OUTCOMES
from receiver.outputs.paths import batch_folder, errors_name, manifest_name
from receiver.status.view_models import OutcomeShare, share_outcomes
from receiver.storage import Storage
from receiver.storage.replaced import find_replaced
from receiver.tolerant_json import tolerant_reader

PAGE_ROWS = 50
SEARCH = SearchLimits(512 * MIB, 2.0)  # below the deadline of the storage
MAX_KEYS = 3  # of an error, as examples
MISSING = "missing"  # among the filters: requests without a result
# What the list of results can be narrowed to, beside MISSING.
FILTERS: Mapping[str, Collection[str]] = {
    "": (),
    "failed": FAILED,
    **{outcome: (outcome,) for outcome in OUTCOMES},
}
T = TypeVar("T")


@dataclass(frozen=True)
class DetailLimits:
    """How much is read."""

    manifest_bytes: int = 4 * 1024 * 1024  # it names every missing key
    errors_bytes: int = 1024 * 1024
    index: SearchLimits = SEARCH


LIMITS = DetailLimits()


class _ErrorRow(msgspec.Struct, frozen=True):
    key: str | None = None
    outcome: str = ""
    code: Any = None
    message: Any = None


_read_error = tolerant_reader(_ErrorRow)


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
class Listing:
    """Which part of the list of results is shown."""

    outcome: str = ""  # one of FILTERS, or MISSING
    after: int = 0  # a line of the source; of MISSING, a number of keys


@dataclass(frozen=True)
class Outputs:
    """Some results of the batch, or keys without one."""

    rows: list[StoredRow] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # keys
    next_after: int | None = None  # where the list goes on; None at its end
    problem: str = ""  # why there may be more, or why nothing can be shown


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
    storage: Storage, name: str, listing: Listing, limits: DetailLimits = LIMITS
) -> BatchDetails:
    """What is stored of a batch, with a part of the list of its results.

    Raises StorageError when the storage can't be asked.
    """
    folder = batch_folder(name)
    data = _read_start(storage.read_chunks(manifest_name(name)), limits.manifest_bytes)
    if data is None:
        return BatchDetails(folder)
    try:
        manifest = _decode_manifest(data, limits)
    except ManifestError as error:
        return BatchDetails(folder, problem=str(error))

    return BatchDetails(
        folder=folder,
        manifest=manifest,
        shares=share_outcomes(manifest.outcomes, manifest.missing),
        errors=_read_errors(storage, name, limits),
        outputs=_read_outputs(storage, name, manifest, listing, limits),
        judgement=judge_manifest(manifest),
        replaced=find_replaced(storage, name, data),
    )


def load_manifest(storage: Storage, name: str, limits: DetailLimits = LIMITS) -> Manifest | None:
    """The manifest of a batch; None without one. Raises StorageError and ManifestError."""
    data = _read_start(storage.read_chunks(manifest_name(name)), limits.manifest_bytes)
    return None if data is None else _decode_manifest(data, limits)


def _decode_manifest(data: bytes, limits: DetailLimits) -> Manifest:
    if len(data) > limits.manifest_bytes:
        raise ManifestError("it is too long to be shown here: `batches show` shows it")
    return read_manifest(data)


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


def _read_outputs(
    storage: Storage, batch: str, manifest: Manifest, listing: Listing, limits: DetailLimits
) -> Outputs:
    after, end = listing.after, listing.after + PAGE_ROWS
    if listing.outcome == MISSING:
        keys = manifest.missing_keys
        return Outputs(missing=keys[after:end], next_after=end if len(keys) > end else None)
    if manifest.index is None:
        return Outputs()
    search = IndexSearch(storage, batch, limits.index)
    try:
        page = search.read_page(after, FILTERS[listing.outcome], PAGE_ROWS)
    except StorageError as error:
        return Outputs(problem=str(error))
    cut = (
        "The list ends here, where the search in the index reached its limit."
        if page.is_cut
        else ""
    )
    return Outputs(page.rows, next_after=page.rows[-1].line if page.has_more else None, problem=cut)
