"""What the API reads from Redis and the storage. Every call blocks."""

import logging
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis

from receiver.answers.index_search import IndexSearch
from receiver.answers.lookup import describe_result, explain_absence, read_line
from receiver.answers.packed_lines import MAX_LINE_BYTES, SearchLimitError, SearchLimits
from receiver.api.problems import ProblemError
from receiver.api.queries import BatchQuery, DeliveryQuery, SubmissionQuery, project_of
from receiver.batch_names import BatchName
from receiver.errors import ReceiverError
from receiver.inbox.delivery_log import Delivery, fetch_deliveries
from receiver.inbox.entries import Entry, State
from receiver.inbox.finding import BatchFilter, find_batches
from receiver.inbox.json_views import JudgedEntry, ListedEntry, judge_entry, list_entry
from receiver.inbox.ledger import Inbox
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import SUBMISSIONS
from receiver.outputs.manifest import Manifest, read_manifest
from receiver.outputs.paths import manifest_name
from receiver.outputs.wording import quote_key
from receiver.rows.keeping import prove_rows
from receiver.settings.settings import Settings
from receiver.storage import Storage
from receiver.storage.ordered_map import ordered_map
from receiver.submissions.json_views import DetailedView, detail
from receiver.submissions.reading import SubmissionReader
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.submission import Submission
from receiver.submissions.view import Phase, SubmissionView

LIMITS = SearchLimits(unpacked_bytes=1024**3, seconds=15)  # of the index of a batch
THREADS = 4  # a submission is many small objects
UNDER_WAY: frozenset[State] = frozenset({"open", "leased"})
log = logging.getLogger(__name__)
R = TypeVar("R")


@dataclass(frozen=True)
class Page(Generic[R]):
    """Some rows of a list."""

    rows: list[R]
    cursor: str  # goes on behind them; empty at the end of the list


def list_batches(
    client: "redis.Redis", query: BatchQuery, wanted: BatchFilter
) -> Page[ListedEntry]:
    """Raises InboxUnavailableError."""
    found = find_batches(client, wanted, query.limit, query.cursor)
    return Page([list_entry(entry, found.now_ms) for entry in found.entries], found.cursor)


def show_batch(client: "redis.Redis", name: BatchName) -> JudgedEntry:
    """Raises InboxUnavailableError, and ProblemError where the inbox does not know the batch."""
    entry = Inbox(client).entries([str(name)]).get(str(name))
    if entry is not None:
        return judge_entry(entry)
    if InboxQueries(client).knows(str(name)):
        raise ProblemError(500, f"another program changed the entry of {name}: it can't be read")
    raise ProblemError(404, f"the inbox does not know {name}")


def list_deliveries(client: "redis.Redis", query: DeliveryQuery) -> list[Delivery]:
    """Raises InboxUnavailableError."""
    return fetch_deliveries(client, query.limit, project_of(query.project))


def list_submissions(
    client: "redis.Redis", storage: Storage, query: SubmissionQuery
) -> Page[SubmissionView]:
    """Those that the inbox knows. Raises InboxUnavailableError and StorageError."""
    found = find_batches(
        client, _filter_entries(query.state), query.limit, query.cursor, ledger=SUBMISSIONS
    )
    entries, cursor = found.entries, found.cursor
    if query.state is not None and not _ended_as(query.state):  # these come before all others
        entries = [entry for entry in entries if entry.state in UNDER_WAY]
        cursor = cursor if len(entries) == len(found.entries) else ""
    project = project_of(query.project)
    wanted = (entry for entry in entries if project in (None, entry.project))
    reader = SubmissionReader(storage, client)
    views = ordered_map(lambda one: _read_view(reader, storage, one), wanted, threads=THREADS)
    rows = [one for one in views if one is not None and query.state in (None, one.state)]
    return Page(rows, cursor)


def _ended_as(phase: Phase) -> State | None:
    """How the ledger calls a submission in this phase; None where it is under way."""
    match phase:
        case "buried":
            return "buried"
        case "completed" | "stopped":
            return "done"
        case _:
            return None


def _filter_entries(phase: Phase | None) -> BatchFilter:
    return BatchFilter(state=phase and _ended_as(phase))


def _read_view(reader: SubmissionReader, storage: Storage, entry: Entry) -> SubmissionView | None:
    """None for one that can't be read, which the log names, or that the storage does not have."""
    try:
        plan = SubmissionRecords(storage, entry.batch.rpartition("/")[2]).read_plan()
        return None if plan is None else reader.read(plan)
    except ReceiverError as error:
        if error.retryable:  # Redis or the storage is away
            raise
        log.warning("api.unreadable", extra={"submission": entry.batch, "cause": str(error)})
        return None


def show_submission(
    client: "redis.Redis", storage: Storage, settings: Settings, submission_id: str
) -> DetailedView:
    """Raises what `SubmissionReader` does, and ProblemError where the storage does not have it."""
    plan: Submission | None = SubmissionRecords(storage, submission_id).read_plan()
    if plan is None:
        raise ProblemError(404, f"no submission {submission_id} is known to the storage")
    view = SubmissionReader(storage, client).read(plan)
    return detail(view, settings, prove_rows(storage, submission_id))


def read_result(storage: Storage, name: BatchName, key: str) -> bytes:
    """One result as JSON: where it lies, and what Gemini sent.

    Raises StorageError, ManifestError, and ProblemError where there is none.
    """
    manifest = _read_manifest(storage, name)
    search = IndexSearch(storage, str(name), LIMITS)
    try:
        row = None if manifest.index is None else search.find_key(key)
    except SearchLimitError as error:
        raise ProblemError(422, f"{error}: `batches results` looks further") from error
    if row is None:
        why = explain_absence(manifest, key)
        raise ProblemError(404, f"{name} has no result for {quote_key(key)}: {why}")
    if row.length > MAX_LINE_BYTES:
        size = f"{row.length:,} bytes, and {MAX_LINE_BYTES:,} may be asked for here"
        raise ProblemError(422, f"the result has {size}: it lies in {row.object}")
    return describe_result(row, read_line(storage, row))


def _read_manifest(storage: Storage, name: BatchName) -> Manifest:
    data = storage.read(manifest_name(str(name)))
    manifest = None if data is None else read_manifest(data)
    if manifest is None or (manifest.project or "") != name.project:  # ids share their folders
        raise ProblemError(404, f"{name} is not stored")
    return manifest
