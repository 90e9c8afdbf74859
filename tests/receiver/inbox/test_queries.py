"""What a person sees of the inbox, and what becomes of it over time."""

from pathlib import Path

import pytest
import redis

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from receiver.inbox.entries import State
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.ledger import BURIED_TTL_S, DONE_TTL_S, Arrival, Inbox, Lease
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import BURIED, DONE, DUE, ENTRY, connect

STATES: list[State] = ["open", "leased", "buried", "done"]


def claimed(inbox: Inbox, name: str) -> Lease:
    inbox.accept([Arrival(name, "batch.succeeded", "static")])
    lease = inbox.claim(name)
    assert lease is not None
    return lease


def fill(client: "redis.Redis") -> None:
    """One batch of every state, named after it."""
    inbox = Inbox(client)
    inbox.accept([Arrival("batches/open", "batch.succeeded", "static")])
    claimed(inbox, "batches/leased")
    inbox.bury(claimed(inbox, "batches/buried"), "no such file")
    inbox.finish(claimed(inbox, "batches/done"), Summary(outcomes={"ok": 3}))


@pytest.mark.parametrize("state", STATES)
def test_state_is_listed_alone(client: "redis.Redis", state: State) -> None:
    fill(client)
    found = InboxQueries(client).listing(state, 10)
    assert [(entry.batch, entry.state) for entry in found.entries] == [(f"batches/{state}", state)]
    assert found.total == 1


def test_listing_is_cut_and_counted(client: "redis.Redis") -> None:
    fill(client)
    found = InboxQueries(client).listing(None, 2)
    assert [entry.state for entry in found.entries] == ["open", "leased"]
    assert found.total == 4
    assert 0 <= found.now_ms - found.entries[0].accepted_ms < 60_000


def test_unsettled_are_owed_or_buried(client: "redis.Redis") -> None:
    fill(client)
    assert InboxQueries(client).unsettled() == {"batches/open", "batches/leased", "batches/buried"}


def test_batches_are_found_by_display_name(client: "redis.Redis") -> None:
    fill(client)
    inbox = Inbox(client)
    inbox.finish(claimed(inbox, "batches/stored"), Summary(display_name="night"))
    inbox.finish(claimed(inbox, "acme/batches/stored"), Summary(display_name="night"))
    running = claimed(inbox, "batches/running")
    inbox.renew(running, progress=JobProgress(stage="ask", display_name="night"))
    queries = InboxQueries(client)
    assert set(queries.called("night")) == {
        "batches/stored",
        "acme/batches/stored",
        "batches/running",
    }
    assert queries.called("night", "acme") == ["acme/batches/stored"]
    assert queries.called("day") == []


def test_entries_that_cannot_be_read_are_known(client: "redis.Redis") -> None:
    client.set(f"{ENTRY}batches/foreign", "x")
    fill(client)
    queries = InboxQueries(client)
    names = ["batches/open", "batches/foreign", "batches/other"]
    assert [queries.knows(name) for name in names] == [True, True, False]


def test_purged_batches_are_forgotten(client: "redis.Redis") -> None:
    fill(client)
    names = [f"batches/{state}" for state in STATES]
    assert Inbox(client).purge([*names, "batches/unknown"]) == names
    assert InboxQueries(client).listing(None, 10).total == 0
    assert not client.exists(DUE, BURIED, DONE)


def test_purge_takes_the_lease(client: "redis.Redis") -> None:
    inbox = Inbox(client)
    lease = claimed(inbox, "batches/one")
    inbox.purge(["batches/one"])
    assert not inbox.finish(lease, Summary())
    assert inbox.entries(["batches/one"]) == {}


def test_retried_batch_leaves_the_buried(client: "redis.Redis") -> None:
    fill(client)
    assert Inbox(client).accept(
        [Arrival("batches/buried", "batch.succeeded", "retry", reopen="all")]
    ) == [True]
    assert InboxQueries(client).names("buried") == []
    assert set(InboxQueries(client).names("open")) == {"batches/open", "batches/buried"}


def test_reopened_batch_leaves_the_done(client: "redis.Redis") -> None:
    fill(client)
    assert Inbox(client).accept(
        [Arrival("batches/done", "batch.succeeded", "replay", reopen="all")]
    ) == [True]
    assert InboxQueries(client).names("done") == []


def test_expired_entries_leave_the_lists(client: "redis.Redis") -> None:
    fill(client)
    for key, batch, ttl_s in (
        (BURIED, "batches/buried", BURIED_TTL_S),
        (DONE, "batches/done", DONE_TTL_S),
    ):
        client.delete(ENTRY + batch)  # as its expiry does
        client.zincrby(key, -ttl_s * 1000, batch)
    Inbox(client).take_due()
    assert not client.exists(BURIED, DONE)


def test_due_batch_without_entry_is_dropped(client: "redis.Redis") -> None:
    fill(client)
    client.delete(ENTRY + "batches/open")
    inbox = Inbox(client)
    assert "batches/open" not in inbox.take_due()
    assert client.zscore(DUE, "batches/open") is None
    assert inbox.entries(["batches/open"]) == {}


def test_buried_batches_survive_a_restart(tmp_path: Path) -> None:
    port = allocate_port()
    server = start_valkey(tmp_path, port)
    with connect(f"redis://127.0.0.1:{port}/0") as client:
        fill(client)
    stop(server)
    server = start_valkey(tmp_path, port)
    try:
        with connect(f"redis://127.0.0.1:{port}/0") as client:
            found = InboxQueries(client).listing("buried", 10)
    finally:
        stop(server)
    assert [(entry.batch, entry.cause) for entry in found.entries] == [
        ("batches/buried", "no such file")
    ]
