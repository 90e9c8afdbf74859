"""Looks for a key among the results of stored batches, the newest first."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec
import redis

from receiver.answers.index_rows import StoredRow
from receiver.answers.index_search import IndexSearch
from receiver.answers.packed_lines import MIB, SearchLimits
from receiver.errors import StorageError
from receiver.inbox.entries import Entry
from receiver.inbox.finding import BatchFilter, find_batches
from receiver.status.view_models import BatchRow, make_row
from receiver.storage import Storage

MAX_BATCHES = 20  # that one page looks through
MAX_UNPACKED_BYTES = 64 * MIB  # of each
MAX_S = 4.0  # of them all


@dataclass(frozen=True)
class KeyHit:
    """A batch with a result of this key."""

    row: BatchRow
    result: StoredRow


@dataclass
class KeyPage:
    """What was found among some batches."""

    hits: list[KeyHit]
    looked: int  # batches
    unread: list[BatchRow]  # those of them that could not be looked through to the end
    cursor: str  # goes on with older batches; empty where there are none

    def take(self, row: BatchRow, look: Callable[[], StoredRow | None]) -> None:
        """Look into one more batch."""
        self.looked += 1
        try:
            result = look()
        except StorageError:
            self.unread.append(row)
        else:
            self.hits += [KeyHit(row, result)] if result else []


def search_key(
    client: "redis.Redis", storage: Storage, key: str, wanted: BatchFilter, cursor: str
) -> KeyPage:
    """Look for the key in the stored batches that the filter wants, whatever text it names.

    Raises InboxUnavailableError when Redis can't be asked.
    """
    latest_s = time.monotonic() + MAX_S
    stored = msgspec.structs.replace(wanted, text="", state="done")
    page = KeyPage([], 0, [], cursor)
    while page.looked < MAX_BATCHES and time.monotonic() < latest_s:
        found = find_batches(client, stored, 1, page.cursor)
        for entry in found.entries:
            limits = SearchLimits(MAX_UNPACKED_BYTES, latest_s - time.monotonic())
            look = partial(_find_result, storage, entry, key, limits)
            page.take(make_row(entry, found.now_ms), look)
        page.cursor = found.cursor
        if not page.cursor:
            break
    return page


def _find_result(
    storage: Storage, entry: Entry, key: str, limits: SearchLimits
) -> StoredRow | None:
    """Raises StorageError where nobody can tell."""
    if entry.summary.state and not any(entry.summary.outcomes.values()):
        return None  # it has no results at all
    return IndexSearch(storage, entry.batch, limits).find_key(key)
