"""Reads submissions for the page, from their ledger and the storage: some at a time."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import redis

from receiver.batch_names import BatchName, SubmissionName
from receiver.errors import InboxUnavailableError, ReceiverError
from receiver.inbox.entries import State
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import SUBMISSIONS
from receiver.notices.running_batches import RunningRow, read_running
from receiver.storage import Storage
from receiver.submissions.reading import SubmissionReader
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.view import SubmissionView

PAGE_ROWS = 20
ORDER: tuple[State, ...] = ("leased", "open", "buried", "done")  # those under way come first


@dataclass(frozen=True)
class SubmissionRow:
    """One submission of a list."""

    name: str  # in the inbox
    path: str | None  # of its page; None where the name can't be a submission's
    view: SubmissionView | None  # None: it can't be read
    problem: str  # why not


@dataclass(frozen=True)
class SubmissionPage:
    """Some of the submissions that the inbox knows."""

    rows: list[SubmissionRow]
    total: int
    page: int  # from 1
    pages: int
    now_s: float  # Unix time


@dataclass(frozen=True)
class SubmissionDetails:
    """One submission, and what Gemini said last of its batches."""

    view: SubmissionView
    running: dict[str, RunningRow]  # by the batch's name in the inbox, as of the last reconcile run
    now_s: float  # Unix time


def submission_path(name: str) -> str | None:
    """Where a submission has its page; None for what can't be the name of one."""
    return f"/status/{name}" if SubmissionName.read(name) else None


def read_submission_page(client: "redis.Redis", storage: Storage, page: int) -> SubmissionPage:
    """Raises InboxUnavailableError and StorageError."""
    queries = InboxQueries(client, SUBMISSIONS)
    names = list(dict.fromkeys(name for state in ORDER for name in queries.names(state)))
    pages = max(1, -(-len(names) // PAGE_ROWS))
    page = min(max(page, 1), pages)
    chosen = names[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    rows = list(_read_rows(SubmissionReader(storage, client), storage, chosen))
    return SubmissionPage(rows, len(names), page, pages, time.time())


def _read_rows(
    reader: SubmissionReader, storage: Storage, names: Sequence[str]
) -> Iterator[SubmissionRow]:
    for name in names:
        path, submission = submission_path(name), SubmissionName.read(name)
        try:
            plan = SubmissionRecords(storage, submission.id).read_plan() if submission else None
            if plan is None:
                yield SubmissionRow(name, path, None, "the storage does not have it")
            else:
                yield SubmissionRow(name, path, reader.read(plan), "")
        except InboxUnavailableError:
            raise
        except ReceiverError as error:
            yield SubmissionRow(name, path, None, str(error))


def read_submission_details(
    client: "redis.Redis", storage: Storage, name: SubmissionName
) -> SubmissionDetails | None:
    """None where the storage does not have it. Raises what `SubmissionReader.read` does."""
    plan = SubmissionRecords(storage, name.id).read_plan()
    if plan is None or plan.spec.project != name.project:
        return None
    view = SubmissionReader(storage, client).read(plan)
    now_ms = InboxQueries(client).now_ms()
    running = read_running(client, [name.project], now_ms)
    batches = {
        str(BatchName.read(row.batch, name.project)): row for one in running for row in one.batches
    }
    return SubmissionDetails(view, batches, time.time())
