import time
from typing import Any

import pytest
import redis

from deploy.sandbox.processes import allocate_port
from receiver.errors import InboxUnavailableError, LeaseLostError
from receiver.inbox.delivery_log import MAX_LOGGED
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import MAX_ATTEMPTS, Arrival, Inbox, Lease, Reopen
from receiver.inbox.redis import BURIED, DELIVERIES, DUE, ENTRY, FENCE, METRICS, connect, now_ms
from tests.waiting import eventually

BATCH = "batches/abc"


@pytest.fixture
def inbox(client: "redis.Redis") -> Inbox:
    return Inbox(client)


def arrive(
    inbox: Inbox, delivery_id: str = "", batch: str = BATCH, reopen: Reopen = "none"
) -> bool:
    return inbox.accept([Arrival(batch, "batch.succeeded", "static", delivery_id, reopen=reopen)])[
        0
    ]


def claim(inbox: Inbox, lease_s: float = 60) -> Lease:
    lease = inbox.claim(BATCH, lease_s)
    assert lease is not None
    return lease


def state(inbox: Inbox) -> str:
    return inbox.entries([BATCH])[BATCH].state


def test_first_arrival_opens_an_entry(inbox: Inbox) -> None:
    assert arrive(inbox, "msg_1")
    assert state(inbox) == "open"
    assert inbox.has_due()


def test_same_delivery_is_known(inbox: Inbox) -> None:
    assert arrive(inbox, "msg_1")
    assert not arrive(inbox, "msg_1")


def test_giving_up_takes_the_batch_from_its_worker(inbox: Inbox, client: "redis.Redis") -> None:
    """Whoever holds it can neither renew nor end it; a retry opens it again."""
    arrive(inbox)
    lease = claim(inbox)
    assert inbox.bury_by_hand([BATCH, "batches/nosuch"], "wrong prompt") == [BATCH]
    with pytest.raises(LeaseLostError):
        inbox.renew(lease)
    assert not inbox.finish(lease, Summary())
    entry = inbox.entries([BATCH])[BATCH]
    assert (entry.state, entry.cause) == ("buried", "wrong prompt")
    assert (client.zscore(DUE, BATCH), client.zscore(BURIED, BATCH)) == (None, entry.changed_ms)
    assert client.hget(METRICS, "gbr_attempts_total:buried") == b"1"
    assert arrive(inbox, reopen="all")
    claim(inbox)


def test_what_has_ended_is_not_buried(inbox: Inbox) -> None:
    arrive(inbox)
    inbox.finish(claim(inbox), Summary())
    assert inbox.bury_by_hand([BATCH], "too late") == []
    assert state(inbox) == "done"


def test_half_a_character_keeps_no_batch_from_its_end(inbox: Inbox) -> None:
    """A cause that no UTF-8 can hold once let the worker crash instead of ending its attempt."""
    arrive(inbox)
    inbox.postpone(claim(inbox), 0, "bad \ud800 name", "attempts")
    inbox.bury(claim(inbox), "bad \ud800 name")
    assert inbox.entries([BATCH])[BATCH].cause == "bad ? name"


def pass_time(client: "redis.Redis", seconds: int) -> None:
    """As if it were so much later: what would have expired does, in Redis' own way."""
    for key in client.scan_iter():
        if (rest := client.ttl(key)) >= 0:
            client.expire(key, rest - seconds)  # at zero or below, Redis deletes the key


@pytest.mark.parametrize("hours", [1, 25, 7 * 24])
@pytest.mark.parametrize("end", ["finished", "buried", "purged"])
def test_redelivery_after_days_is_known(
    inbox: Inbox, client: "redis.Redis", hours: int, end: str
) -> None:
    """Accepted as known, and nothing becomes due; a purged batch leaves only its delivery."""
    arrive(inbox, "msg_1")
    lease = claim(inbox)
    if end == "buried":
        inbox.bury(lease, "no such batch")
    else:
        inbox.finish(lease, Summary())
    if end == "purged":
        inbox.purge([BATCH])
    pass_time(client, hours * 3600)
    assert not arrive(inbox, "msg_1")
    assert not inbox.has_due()
    assert inbox.claim(BATCH) is None


def test_other_door_meets_the_same_entry(inbox: Inbox) -> None:
    assert arrive(inbox, "msg_1")
    assert not arrive(inbox, "msg_2")
    assert not arrive(inbox)


def test_another_project_has_its_own_entry(inbox: Inbox) -> None:
    assert arrive(inbox, "msg_1")
    assert arrive(inbox, "acme/msg_1", f"acme/{BATCH}")
    inbox.bury(claim(inbox), "no such batch")
    entry = inbox.entries([f"acme/{BATCH}"])[f"acme/{BATCH}"]
    assert (entry.project, entry.state) == ("acme", "open")
    assert inbox.entries([BATCH])[BATCH].project == ""


def test_one_step_accepts_many_arrivals(inbox: Inbox) -> None:
    arrivals = [
        Arrival(f"batches/{n % 3}", "batch.succeeded", "static", f"msg_{n}") for n in range(6)
    ]
    assert inbox.accept(arrivals) == [True, True, True, False, False, False]


def test_one_step_accepts_thousands(inbox: Inbox, client: "redis.Redis") -> None:
    """A replay may bring that many, and Lua passes no more than 8,000 arguments to a call."""
    arrivals = [
        Arrival(f"batches/{n}", "batch.succeeded", "static", f"msg_{n}") for n in range(9000)
    ]
    assert all(inbox.accept(arrivals))
    assert client.zcard(DUE) == len(arrivals)
    assert client.llen(DELIVERIES) == MAX_LOGGED


def test_entry_of_the_version_before_is_read(inbox: Inbox, client: "redis.Redis") -> None:
    """It had a field for everything, empty where there was nothing."""
    before: dict[Any, Any] = {"state": "open", "event": "batch.succeeded", "door": "static"}
    before |= {"metadata": "", "attempts": 0, "waits": 0, "accepted": 5, "first": 3, "changed": 5}
    before |= {"rung_until": 0, "trace": "", "timeline": "5 accepted batch.succeeded static"}
    client.hset(ENTRY + BATCH, mapping=before)
    client.zadd(DUE, {BATCH: 5})

    lease = claim(inbox)
    assert (lease.first_ms, lease.metadata, lease.trace) == (3, {}, "")
    inbox.bury(lease, "no such batch")
    assert arrive(inbox, reopen="all")
    assert claim(inbox).first_ms == 3


def test_reopened_entry_keeps_when_it_was_first_accepted(
    inbox: Inbox, client: "redis.Redis"
) -> None:
    arrive(inbox)
    first = claim(inbox)
    inbox.bury(first, "no such batch")
    eventually(lambda: now_ms(client) > first.first_ms)
    assert arrive(inbox, reopen="all")
    assert claim(inbox).first_ms == first.first_ms


def test_only_one_claim_wins(inbox: Inbox) -> None:
    arrive(inbox)
    assert inbox.claim(BATCH) is not None
    assert inbox.claim(BATCH) is None


def test_unknown_batch_cannot_be_claimed(inbox: Inbox) -> None:
    assert inbox.claim(BATCH) is None


def test_tokens_grow_with_every_claim(inbox: Inbox) -> None:
    arrive(inbox)
    first = claim(inbox)
    inbox.release(first, "shutdown")
    assert int(claim(inbox).token) > int(first.token)


def test_claim_whose_answer_was_lost_is_no_crash(inbox: Inbox) -> None:
    arrive(inbox)
    first = inbox.claim(BATCH, 0.01, "mine")
    assert inbox.claim(BATCH, 60, "mine") == first  # longer
    assert inbox.claim(BATCH, 60, "another's") is None
    assert first is not None
    assert first.attempts == 0
    inbox.release(first, "later")
    second = inbox.claim(BATCH, 0.01, "mine")
    assert second is not None
    assert second.token != first.token
    eventually(lambda: inbox.claim(BATCH, 60) is not None)  # a worker of the version before
    assert inbox.claim(BATCH, 60, "mine") is None


def test_token_grows_when_the_clock_goes_back(inbox: Inbox, client: "redis.Redis") -> None:
    arrive(inbox)
    ahead = int(claim(inbox).token) + 3_600_000_000  # of a primary whose clock was an hour ahead
    client.set(FENCE, ahead)
    arrive(inbox, batch="batches/b")
    lease = inbox.claim("batches/b")
    assert lease is not None
    assert int(lease.token) > ahead


def test_metadata_reaches_the_lease(inbox: Inbox) -> None:
    inbox.accept([Arrival(BATCH, "batch.succeeded", "dynamic", metadata='{"tenant":"acme"}')])
    assert claim(inbox).metadata == {"tenant": "acme"}


def test_late_metadata_joins_the_entry(inbox: Inbox) -> None:
    arrive(inbox)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "dynamic", metadata='{"tenant":"acme"}')])
    assert claim(inbox).metadata == {"tenant": "acme"}


def test_end_that_was_announced_counts_nothing(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.inbox.ledger.LEAVE_S", 0.01)
    arrive(inbox)
    left = claim(inbox)
    inbox.leave(left)
    eventually(inbox.has_due)
    crashing = claim(inbox, lease_s=0.01)
    assert crashing.attempts == 0
    with pytest.raises(LeaseLostError):
        inbox.leave(left)
    eventually(inbox.has_due)
    assert claim(inbox).attempts == 1  # nobody announced the end of this one


def test_expired_lease_counts_an_attempt(inbox: Inbox) -> None:
    arrive(inbox)
    lost = claim(inbox, lease_s=0.01)
    eventually(inbox.has_due)
    assert claim(inbox).attempts == 1
    with pytest.raises(LeaseLostError):
        inbox.renew(lost)
    assert not inbox.finish(lost, Summary())


def test_renewed_lease_stays_ours(inbox: Inbox) -> None:
    arrive(inbox)
    lease = claim(inbox, lease_s=0.2)
    inbox.renew(lease, lease_s=60)
    time.sleep(0.3)  # past the first lease: nothing may become due
    assert not inbox.has_due()
    assert inbox.claim(BATCH) is None


def test_reading_whose_answer_was_lost_is_one_reading(inbox: Inbox) -> None:
    arrive(inbox)
    lease = claim(inbox)
    assert [inbox.add_reading(lease, 7, "ab")[:2] for _ in range(2)] == [(1, 1), (1, 1)]
    assert [inbox.add_reading(lease, 8, "cd")[:2] for _ in range(2)] == [(2, 1), (2, 1)]
    inbox.release(lease, "later")
    readings, same, same_s = inbox.add_reading(claim(inbox), 8, "cd")
    assert (readings, same) == (3, 2)
    assert 0 <= same_s < 60


def test_release_counts_no_attempt(inbox: Inbox) -> None:
    arrive(inbox)
    inbox.release(claim(inbox), "its worker was shut down")
    assert claim(inbox).attempts == 0


def test_postponed_batch_waits_its_time(inbox: Inbox) -> None:
    arrive(inbox)
    assert inbox.postpone(claim(inbox), 60, "not ready", "waits") == "open"
    assert inbox.claim(BATCH) is None
    assert inbox.entries([BATCH])[BATCH].waits == 1
    assert inbox.entries([BATCH])[BATCH].cause == "not ready"


def test_new_delivery_ends_the_wait(inbox: Inbox) -> None:
    arrive(inbox)
    inbox.postpone(claim(inbox), 60, "not ready", "waits")
    arrive(inbox, "msg_2")
    assert inbox.claim(BATCH) is not None


def test_delivery_during_work_ends_the_wait(inbox: Inbox) -> None:
    arrive(inbox)
    lease = claim(inbox)
    arrive(inbox, "msg_2")
    inbox.postpone(lease, 60, "not ready", "waits")
    assert inbox.claim(BATCH) is not None


def test_errors_bury_at_the_limit(inbox: Inbox, client: "redis.Redis") -> None:
    arrive(inbox)
    states = [inbox.postpone(claim(inbox), 0, "boom", "attempts") for _ in range(MAX_ATTEMPTS)]
    assert states == ["open"] * (MAX_ATTEMPTS - 1) + ["buried"]
    assert inbox.entries([BATCH])[BATCH].cause == "boom"
    assert client.zscore(BURIED, BATCH)
    assert not inbox.has_due()


def test_crashes_bury_at_the_limit(inbox: Inbox) -> None:
    arrive(inbox)
    for _ in range(MAX_ATTEMPTS):
        claim(inbox, lease_s=0.01)
        eventually(inbox.has_due)
    assert inbox.claim(BATCH) is None
    assert state(inbox) == "buried"
    assert "died" in inbox.entries([BATCH])[BATCH].cause


@pytest.mark.parametrize(("reopen", "opened"), [("none", False), ("done", False), ("all", True)])
def test_buried_batch_opens_on_demand(
    inbox: Inbox, client: "redis.Redis", reopen: Reopen, *, opened: bool
) -> None:
    arrive(inbox)
    inbox.bury(claim(inbox), "no such batch")
    assert arrive(inbox, reopen=reopen) is opened
    assert (client.zscore(BURIED, BATCH) is None) is opened


@pytest.mark.parametrize(("reopen", "opened"), [("none", False), ("done", True), ("all", True)])
def test_done_batch_opens_on_demand(inbox: Inbox, reopen: Reopen, *, opened: bool) -> None:
    arrive(inbox)
    assert inbox.finish(claim(inbox), Summary(outcomes={"ok": 3}))
    assert inbox.entries([BATCH])[BATCH].summary.outcomes == {"ok": 3}
    assert arrive(inbox, reopen=reopen) is opened


def test_reopened_batch_starts_afresh(inbox: Inbox) -> None:
    arrive(inbox)
    inbox.postpone(claim(inbox), 0, "boom", "attempts")
    inbox.bury(claim(inbox), "no such batch")
    arrive(inbox, reopen="all")
    assert claim(inbox).attempts == 0


def test_due_batch_is_rung_once(inbox: Inbox, client: "redis.Redis") -> None:
    arrive(inbox)
    assert inbox.take_due() == []  # who accepted it enqueues its job first
    client.hset(ENTRY + BATCH, "rung_until", 0)
    assert inbox.take_due() == [BATCH]
    assert inbox.take_due() == []


def test_ended_entries_and_deliveries_expire(inbox: Inbox, client: "redis.Redis") -> None:
    arrive(inbox, "msg_1")
    inbox.finish(claim(inbox), Summary())
    lasting = {key.decode() for key in client.scan_iter() if client.ttl(key) == -1}
    assert lasting <= {DUE, FENCE, DELIVERIES, METRICS}


def test_absent_redis_is_said_in_words() -> None:
    with connect(f"redis://127.0.0.1:{allocate_port()}/0") as client:
        inbox = Inbox(client)
        for call in (
            lambda: arrive(inbox),
            lambda: inbox.claim(BATCH),
            inbox.has_due,
            inbox.take_due,
        ):
            with pytest.raises(InboxUnavailableError, match="Redis did not"):
                call()


def test_redis_lists_our_connections_by_name(client: "redis.Redis") -> None:
    assert "gemini-batch-receiver" in str(client.client_info()["lib-name"])
