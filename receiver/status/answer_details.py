"""One result of a stored batch and its request, as far as a page shows them: all bounded."""

from base64 import b64decode
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from receiver.answers.index_rows import StoredRow
from receiver.answers.index_search import IndexSearch, Neighbours
from receiver.answers.lookup import explain_absence, read_line
from receiver.answers.packed_lines import MAX_LINE_BYTES, MIB, SearchLimitError
from receiver.answers.reasons import Reason, parse_reason
from receiver.answers.requests import StoredRequest, find_request
from receiver.errors import StorageError
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import ERROR_FILE, FAILED
from receiver.status.batch_details import SEARCH, load_manifest
from receiver.status.content_pieces import Media
from receiver.status.content_views import ContentView, unwrap_error, view_answer, view_request
from receiver.storage import Storage
from receiver.submissions.stored_requests import places_of_requests

Side = Literal["answer", "request"]


@dataclass(frozen=True)
class Wanted:
    """Which result: that of a line, where its key is the given one or none is given."""

    key: str | None
    line: int | None = None


@dataclass(frozen=True)
class AnswerDetails:
    """One result."""

    manifest: Manifest | None  # None where the batch is not stored
    key: str | None
    row: StoredRow | None = None
    absence: str = ""  # why there is no such result
    reason: Reason | None = None  # of a line that is no output
    view: ContentView | None = None
    neighbours: Neighbours | None = None  # None where nobody looked that far

    @property
    def has_failures(self) -> bool:
        """Whether the batch has any."""
        outcomes = self.manifest.outcomes if self.manifest else {}
        return any(outcomes.get(outcome) for outcome in FAILED)


@dataclass(frozen=True)
class RequestDetails:
    """The request of a result."""

    request: StoredRequest | None = None
    view: ContentView | None = None


def read_answer_details(
    storage: Storage, name: str, wanted: Wanted, outcomes: Collection[str]
) -> AnswerDetails:
    """One result, with its neighbours among those of the outcomes. Raises StorageError.

    Raises ManifestError where the manifest can't be read.
    """
    manifest = load_manifest(storage, name)
    if manifest is None:
        return AnswerDetails(None, wanted.key)
    search = IndexSearch(storage, name, SEARCH)
    row = None if manifest.index is None else _find(search, wanted)
    if row is None:
        absence = "" if wanted.key is None else explain_absence(manifest, wanted.key)
        return AnswerDetails(manifest, wanted.key, absence=absence)

    reason, view = _read_content(storage, row)
    neighbours = _find_neighbours(search, row.line, outcomes)
    return AnswerDetails(manifest, row.key, row, reason=reason, view=view, neighbours=neighbours)


def _read_content(storage: Storage, row: StoredRow) -> tuple[Reason | None, ContentView]:
    """What a line says of its failure, and what it shows."""
    try:
        line = _read_shown_line(storage, row)
    except StorageError as error:
        if error.retryable:
            raise
        return None, ContentView(problem=str(error))
    if row.outcome in ERROR_FILE:
        return _read_reason(line), view_answer(unwrap_error(line))
    return None, view_answer(line)


def _find(search: IndexSearch, wanted: Wanted) -> StoredRow | None:
    row = None if wanted.line is None else search.find_line(wanted.line)
    if row is not None and wanted.key in {None, row.key}:
        return row
    return None if wanted.key is None else search.find_key(wanted.key)


def _find_neighbours(
    search: IndexSearch, line: int, outcomes: Collection[str]
) -> Neighbours | None:
    try:
        return search.find_neighbours(line, outcomes)
    except SearchLimitError:
        return None


def _read_reason(line: bytes) -> Reason | None:
    try:
        return parse_reason(line)
    except (ValueError, RecursionError):
        return None


def _read_shown_line(storage: Storage, row: StoredRow) -> bytes:
    """The bytes that a row names. Raises StorageError, also where they are too many."""
    if row.length > MAX_LINE_BYTES:
        words = f"it has {row.length / MIB:,.0f} MiB, and at most 32 are read here"
        raise StorageError(f"{words}: see {row.object}", retryable=False)
    return read_line(storage, row)


def read_request_details(
    storage: Storage, name: str, manifest: Manifest, key: str
) -> RequestDetails:
    """The request of a key. Raises StorageError and SubmissionError."""
    places = places_of_requests(storage, name)
    request = find_request(storage, places, key, manifest.result_key or "", SEARCH)
    view = None if request is None else view_request(request.line)
    return RequestDetails(request, view)


def read_result(storage: Storage, name: str, line: int) -> bytes | None:
    """What is stored of one line; None where the batch has none. Raises StorageError."""
    row = _find_row(storage, name, line)
    return None if row is None else _read_shown_line(storage, row)


def _find_row(storage: Storage, name: str, line: int) -> StoredRow | None:
    return IndexSearch(storage, name, SEARCH).find_line(line)


def read_next(
    storage: Storage, name: str, after: int, outcomes: Collection[str]
) -> StoredRow | None:
    """The next row of these outcomes after a line, after the last one the first.

    Raises StorageError.
    """
    search = IndexSearch(storage, name, SEARCH)
    page = search.read_page(after, outcomes, 1)
    if not page.rows and page.is_cut:
        words = "none is in what was looked through, which is as far as a search goes here"
        raise StorageError(words, retryable=False)
    rows = page.rows or search.read_page(0, outcomes, 1).rows
    return rows[0] if rows else None


def read_media(
    storage: Storage, name: str, line: int, side: Side, number: int
) -> tuple[Media, bytes] | None:
    """A picture or another file, by its number on one side of a result, from 1; None without it.

    Raises StorageError, SubmissionError and ManifestError.
    """
    row = _find_row(storage, name, line)
    if row is None:
        return None
    view = _view_side(storage, name, row, side)
    media = view.media[number - 1 : number] if view and number else []
    return (media[0], _decode(media[0])) if media else None


def _view_side(storage: Storage, name: str, row: StoredRow, side: Side) -> ContentView | None:
    if side == "answer":
        line = _read_shown_line(storage, row)
        return view_answer(unwrap_error(line) if row.outcome in ERROR_FILE else line)
    manifest = load_manifest(storage, name)
    if manifest is None or row.key is None:
        return None
    return read_request_details(storage, name, manifest, row.key).view


def _decode(media: Media) -> bytes:
    """The bytes of a file, also in base64 for addresses; none where it is no base64."""
    text = media.data.translate({ord("-"): "+", ord("_"): "/"})
    try:
        return b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # characters outside ASCII, or a length that none has
        return b""
