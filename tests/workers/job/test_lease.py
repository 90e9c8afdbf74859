import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from receiver.errors import LeaseLostError
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import LEASE_S, Arrival, Inbox, Lease
from receiver.inbox.redis import DUE, connect
from receiver.notices.payloads import Message
from receiver.telemetry.metrics.history import fetch_history
from tests.waiting import eventually
from workers.job.lease import RENEW_EVERY_S, LeaseKeeper, clock_s
from workers.job.lease import claim as workers_claim
from workers.job.shared_memory import find_lease

BATCH = "batches/abc"


@pytest.fixture
def inbox(client: "redis.Redis") -> Inbox:
    return Inbox(client)


def claim(inbox: Inbox, lease_s: float = LEASE_S) -> Lease:
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    lease = inbox.claim(BATCH, lease_s)
    assert lease is not None
    return lease


def raises_lost(keeper: LeaseKeeper) -> bool:
    try:
        keeper.check()
    except LeaseLostError:
        return True
    return False


def test_held_lease_lets_the_job_write(inbox: Inbox) -> None:
    with LeaseKeeper(inbox, claim(inbox), clock_s()) as keeper:
        keeper.check()


def test_lease_is_renewed_in_time(inbox: Inbox, client: "redis.Redis") -> None:
    with LeaseKeeper(inbox, claim(inbox, lease_s=RENEW_EVERY_S + 2), clock_s()):
        first = client.zscore(DUE, BATCH)
        eventually(lambda: client.zscore(DUE, BATCH) != first, 2 * RENEW_EVERY_S)
        assert inbox.claim(BATCH) is None


def test_job_stops_when_another_has_the_batch(inbox: Inbox) -> None:
    lease = claim(inbox, lease_s=0.01)
    eventually(lambda: inbox.claim(BATCH) is not None)
    with LeaseKeeper(inbox, lease, clock_s()) as keeper:
        eventually(lambda: raises_lost(keeper), 2 * RENEW_EVERY_S)


def test_job_stops_when_its_batch_is_buried_by_hand(inbox: Inbox) -> None:
    with LeaseKeeper(inbox, claim(inbox), clock_s()) as keeper:
        inbox.bury_by_hand([BATCH], "wrong prompt")
        eventually(lambda: raises_lost(keeper), 2 * RENEW_EVERY_S)
    assert inbox.entries([BATCH])[BATCH].state == "buried"


def test_pause_before_the_first_renewal_counts(inbox: Inbox) -> None:
    """The lease began when the claim was sent, not when we got to read the answer."""
    keeper = LeaseKeeper(inbox, claim(inbox), clock_s() - LEASE_S)
    with pytest.raises(LeaseLostError, match="could not be renewed"):
        keeper.check()


def test_parent_can_read_what_is_held(inbox: Inbox) -> None:
    lease = claim(inbox)
    with LeaseKeeper(inbox, lease, clock_s()):
        assert find_lease() == Lease(lease.batch, lease.token, lease.attempts, lease.waits, {})
    assert find_lease() is None


def test_fact_is_for_who_holds_the_batch(inbox: Inbox, client: "redis.Redis") -> None:
    lease = claim(inbox)
    keeper = LeaseKeeper(inbox, lease, clock_s())
    keeper.record("cost", "flash 7")
    assert client.hget(f"gbr:entry:{BATCH}", "cost") == b"flash 7"
    inbox.bury_by_hand([BATCH], "wrong prompt")
    with pytest.raises(LeaseLostError):
        keeper.record("cost", "flash 8")
    assert not keeper.finish(Summary(), Message("results.stored", {}))
    assert client.hget(f"gbr:entry:{BATCH}", "cost") == b"flash 7"


def test_end_waits_for_redis(tmp_path: Path) -> None:
    port = allocate_port()
    valkey = start_valkey(tmp_path, port)
    try:
        with connect(f"redis://127.0.0.1:{port}/0") as client:
            inbox = Inbox(client)
            keeper = LeaseKeeper(inbox, claim(inbox), clock_s())
            stop(valkey)
            keeper.record("cost", "flash 7")
            ending = threading.Thread(
                target=keeper.finish, args=({"ok": 1}, Message("results.stored", {}))
            )
            ending.start()
            ending.join(1)
            assert ending.is_alive()
            valkey = start_valkey(tmp_path, port)
            ending.join(10)
            assert inbox.entries([BATCH])[BATCH].state == "done"
            (cost,) = (slot.costs["flash"] for slot in fetch_history(client) if slot.costs)
            assert cost.batches == 1
    finally:
        stop(valkey)


@pytest.mark.parametrize(
    ("reason", "error"), [("shutdown", "ShuttingDownError"), ("timeout", "OutOfTimeError")]
)
def test_request_to_stop_reaches_the_job(redis_url: str, reason: str, error: str) -> None:
    script = f"""
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from workers.job.lease import LeaseKeeper, clock_s
from workers.job.shared_memory import request_{reason}
inbox = Inbox(connect("{redis_url}"))
inbox.accept([Arrival("{BATCH}", "batch.succeeded", "static")])
keeper = LeaseKeeper(inbox, inbox.claim("{BATCH}"), clock_s())
request_{reason}()
try:
    keeper.check()
except Exception as error:
    print(type(error).__name__)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout.strip() == error


@pytest.mark.parametrize(("reason", "attempts"), [("shutdown", 0), ("timeout", 1)])
def test_hanging_job_is_cut_off(redis_url: str, inbox: Inbox, reason: str, attempts: int) -> None:
    script = f"""
import time
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from workers.job.lease import LeaseKeeper, clock_s
from workers.job.shared_memory import request_{reason}
inbox = Inbox(connect("{redis_url}"))
inbox.accept([Arrival("{BATCH}", "batch.succeeded", "static")])
with LeaseKeeper(inbox, inbox.claim("{BATCH}"), clock_s()):
    request_{reason}()
    time.sleep(60)
"""
    subprocess.run([sys.executable, "-c", script], timeout=20, check=True)
    entry = inbox.entries([BATCH])[BATCH]
    assert (entry.state, entry.attempts) == ("open", attempts)


class LosingConnection(redis.Connection):
    """Loses the answers of the next scripts: they ran, and nobody hears what they said."""

    left = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the signature of the real one
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]
        self._is_script = b"EVALSHA" in b"".join(command)[:20]

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().read_response(*args, **kwargs)
        if self._is_script and LosingConnection.left:
            LosingConnection.left -= 1
            self.disconnect()  # type: ignore[no-untyped-call]
            raise redis.TimeoutError("the answer was lost")
        return answer


def test_lost_answer_of_a_claim_is_asked_for_again(
    redis_url: str, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the lease runs out as if its worker had died, and the fifth time buries the batch."""
    monkeypatch.setattr("workers.job.lease.REDIS_RETRY_S", 0.01)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    pool = redis.ConnectionPool.from_url(redis_url, connection_class=LosingConnection)
    with redis.Redis.from_pool(pool) as client:
        LosingConnection.left = 3
        lease, _ = workers_claim(Inbox(client), BATCH)
    assert lease is not None
    assert (LosingConnection.left, lease.attempts) == (0, 0)
    inbox.renew(lease)
    assert workers_claim(inbox, BATCH)[0] is None  # another worker's claim has another id
