"""Finds batches for the page: in the inbox, and what is not there in the storage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from receiver.batch_names import SUBMISSION_ID, BatchName, SubmissionName
from receiver.errors import EventError
from receiver.inbox.entries import Entry, fetch_entries
from receiver.inbox.finding import BatchFilter, find_batches
from receiver.inbox.foreign import read_or
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import BURIED, DONE, DUE, translate_redis_errors
from receiver.outputs.manifest import read_manifest
from receiver.outputs.paths import manifest_name
from receiver.status.batch_search import BatchSearch
from receiver.status.key_search import KeyPage, search_key
from receiver.status.view_models import BatchRow, make_row
from receiver.storage import Storage
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.submission import Submission

PAGE_ROWS = 50
MAX_PARTS = 50  # batches of one submission that are looked up


@dataclass(frozen=True)
class BatchList:
    """One page of the batches that somebody looks for."""

    rows: list[BatchRow]
    named: list[BatchRow]  # whose whole name was asked for; they are not among the rows
    counts: Mapping[str, int]  # of all batches: "pending", "buried" and "done"
    looked: int  # batches that were gone through
    cursor: str  # goes on behind these; empty where there are no more
    is_cut: bool  # the page ends because no more may be gone through at a time
    reached_ms: int | None  # how far ended batches were gone through
    now_ms: int  # Redis' clock

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show, and nothing more to look through."""
        return not (self.rows or self.named or self.cursor)


@dataclass(frozen=True)
class Elsewhere:
    """What the storage has of what the inbox does not name."""

    submission: SubmissionName | None = None
    submission_title: str = ""
    parts: list[BatchRow] = field(default_factory=list)  # batches of that submission
    stored: str = ""  # the name of a batch that the inbox has forgotten
    keys: KeyPage | None = None


def list_batches(client: "redis.Redis", search: BatchSearch, projects: Iterable[str]) -> BatchList:
    """One page of the list. Raises InboxUnavailableError when Redis can't be asked."""
    found = find_batches(client, search.wanted, PAGE_ROWS, search.cursor)
    names = [] if search.cursor else name_candidates(search.wanted, projects)
    shown = {entry.batch for entry in found.entries}
    named = [one for one in fetch_entries(client, names).values() if one.batch not in shown]
    due = _read_due_ms(client, [one for one in (*named, *found.entries) if one.state == "open"])

    def make_rows(entries: Iterable[Entry]) -> list[BatchRow]:
        return [make_row(one, found.now_ms, due.get(one.batch)) for one in entries]

    return BatchList(
        rows=make_rows(found.entries),
        named=make_rows(named),
        counts=_count(client),
        looked=found.looked,
        cursor=found.cursor,
        is_cut=found.is_cut,
        reached_ms=found.reached_ms,
        now_ms=found.now_ms,
    )


def name_candidates(wanted: BatchFilter, projects: Iterable[str]) -> list[str]:
    """The batches in the inbox that the text may name in full, in these or the wanted project."""
    chosen = projects if wanted.project is None else [wanted.project]
    names = list[str]()
    for project in chosen if wanted.text else ():
        try:
            names.append(str(BatchName.parse(wanted.text, project)))
        except EventError:
            return []
    return list(dict.fromkeys(names))


def _count(client: "redis.Redis") -> dict[str, int]:
    with translate_redis_errors():
        return {
            name: read_or(0, lambda key=key: int(client.zcard(key)))  # type: ignore[misc] # mypy infers no lambda's default
            for name, key in (("pending", DUE), ("buried", BURIED), ("done", DONE))
        }


def _read_due_ms(client: "redis.Redis", entries: Sequence[Entry]) -> dict[str, int]:
    """When each is due, in Unix time; one that was taken meanwhile is left out."""
    names = [one.batch for one in entries]
    with translate_redis_errors():
        scores: list[Any] = read_or([], lambda: client.zmscore(DUE, names)) if names else []
    return {
        name: int(score) for name, score in zip(names, scores, strict=False) if score is not None
    }


def look_elsewhere(
    client: "redis.Redis", storage: Storage, search: BatchSearch, projects: Sequence[str]
) -> Elsewhere:
    """What the storage has under the text: a submission, a batch, or the key of a result.

    Raises StorageError, SubmissionError, ManifestError and InboxUnavailableError.
    """
    wanted = search.wanted
    if plan := _find_submission(storage, wanted.text):
        name = SubmissionName(plan.spec.project, plan.id)
        rows = list(_read_parts(client, storage, plan))
        return Elsewhere(name, plan.spec.display_name, rows)
    if stored := _find_stored(storage, wanted, projects):
        return Elsewhere(stored=stored)
    return Elsewhere(keys=search_key(client, storage, wanted.text, wanted, search.key_cursor or ""))


def _find_stored(storage: Storage, wanted: BatchFilter, projects: Iterable[str]) -> str:
    """The batch that the text names, if it is stored; an id lies in one folder in all projects."""
    names = name_candidates(wanted, projects)
    data = storage.read(manifest_name(names[0])) if names else None
    if data is None:
        return ""
    manifest = read_manifest(data)
    project = manifest.project if isinstance(manifest.project, str) else ""
    is_wanted = wanted.project in (None, project)
    return str(BatchName.read(manifest.batch, project)) if is_wanted else ""


def _find_submission(storage: Storage, text: str) -> Submission | None:
    named = SubmissionName.read(text)
    wanted = named.id if named else text
    if not SUBMISSION_ID.fullmatch(wanted):
        return None
    plan = SubmissionRecords(storage, wanted).read_plan()
    return plan if plan and (named is None or named.project == plan.spec.project) else None


def _read_parts(client: "redis.Redis", storage: Storage, plan: Submission) -> Iterator[BatchRow]:
    """The first batches of a submission that the inbox knows."""
    records = SubmissionRecords(storage, plan.id)
    created = (records.created(part) for part in records.parts()[:MAX_PARTS])
    names = [str(BatchName.read(one.batch, plan.spec.project)) for one in created if one]
    now_ms = InboxQueries(client).now_ms()
    for entry in fetch_entries(client, names).values():
        yield make_row(entry, now_ms)
