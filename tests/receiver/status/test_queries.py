"""What the page reads, in a real Valkey."""

import redis

from receiver.inbox.entry_fields import JobProgress
from receiver.inbox.ledger import Arrival, Inbox
from receiver.status.batch_search import read_search
from receiver.status.finding import PAGE_ROWS, list_batches
from receiver.status.queries import (
    MAX_ROWS,
    read_batch,
    read_snapshot,
)
from tests.receiver.inbox.test_queries import claimed, fill


def test_each_state_has_its_rows(client: "redis.Redis") -> None:
    fill(client)
    found = read_snapshot(client, [""])
    rows = (found.running, found.waiting, found.buried, found.stored)
    assert [[row.name for row in some] for some in rows] == [
        ["batches/leased"],
        ["batches/open"],
        ["batches/buried"],
        ["batches/done"],
    ]
    assert found.buried[0].entry.cause == "no such file"
    assert found.waiting[0].due_ms is not None
    assert found.waiting[0].due_ms <= found.overview.now_ms


def test_waiting_batches_are_sorted_by_when_they_are_due(client: "redis.Redis") -> None:
    inbox = Inbox(client)
    inbox.postpone(claimed(inbox, "batches/later"), 600, "no space", "attempts")
    inbox.postpone(claimed(inbox, "batches/soon"), 60, "no space", "attempts")
    for number in range(2):
        inbox.renew(
            claimed(inbox, f"batches/running{number}"),
            progress=JobProgress(stage="split", display_name="evening"),
        )
    found = read_snapshot(client, [""])
    assert [row.name for row in found.waiting] == ["batches/soon", "batches/later"]
    listing = list_batches(client, read_search({"state": "open"}), [""])
    assert [(row.name, row.due_ms) for row in listing.rows] == [
        (row.name, row.due_ms) for row in found.waiting
    ]
    assert [row.display_name for row in found.running] == ["evening", "evening"]
    assert found.display_names == {"batches/running0": "evening", "batches/running1": "evening"}


def test_many_batches_are_shown_in_part_and_counted(client: "redis.Redis") -> None:
    inbox = Inbox(client)
    inbox.accept(
        [
            Arrival(f"batches/w{number}", "batch.succeeded", "static")
            for number in range(PAGE_ROWS + 5)
        ]
    )
    claimed(inbox, "batches/running")
    found = read_snapshot(client, [""])
    assert (len(found.waiting), found.overview.open) == (MAX_ROWS, PAGE_ROWS + 5)
    first = list_batches(client, read_search({"state": "open"}), [""])
    second = list_batches(client, read_search({"state": "open", "after": first.cursor}), [""])
    assert [len(page.rows) for page in (first, second)] == [PAGE_ROWS, 5]
    assert len({row.name for page in (first, second) for row in page.rows}) == PAGE_ROWS + 5
    assert (second.cursor, second.counts["pending"]) == ("", PAGE_ROWS + 6)


def test_unknown_batch_has_no_row(client: "redis.Redis") -> None:
    now_ms, row = read_batch(client, "batches/nosuch")
    assert now_ms > 0
    assert row is None
