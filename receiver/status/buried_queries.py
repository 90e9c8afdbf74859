"""Which batches are buried, and for which causes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import redis

from receiver.inbox.entries import fetch_entries
from receiver.inbox.queries import InboxQueries
from receiver.recovery.manual_actions import find_buried
from receiver.status.actions import MAX_LOOKED_AT
from receiver.status.view_models import BatchRow, make_row

MAX_ROWS = 10
MAX_CAUSES = 10


@dataclass(frozen=True)
class BuriedBatches:
    """Those that match."""

    now_ms: int
    names: list[str]  # newest first
    rows: list[BatchRow]  # the newest ones
    causes: Mapping[str, int]  # the most frequent ones
    is_all: bool  # whether all buried batches were looked at


def read_buried(client: "redis.Redis", project: str | None, cause: str) -> BuriedBatches:
    """Of the newest MAX_LOOKED_AT of a project, or of all. Raises InboxUnavailableError."""
    queries = InboxQueries(client)
    found = find_buried(client, project, cause, MAX_LOOKED_AT)
    names, now_ms = list(found), queries.now_ms()
    return BuriedBatches(
        now_ms=now_ms,
        names=names,
        rows=[make_row(one, now_ms) for one in fetch_entries(client, names[:MAX_ROWS]).values()],
        causes=dict(Counter(found.values()).most_common(MAX_CAUSES)),
        is_all=queries.count_buried(project) <= MAX_LOOKED_AT,
    )
