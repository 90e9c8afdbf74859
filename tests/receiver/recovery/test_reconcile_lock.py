import pytest
import redis

from receiver.errors import ReconcileLockedError
from receiver.inbox.redis import RECONCILE
from receiver.recovery.reconcile_lock import ReconcileLock


def pass_time(client: "redis.Redis", seconds: int) -> None:
    """As if it were so much later by Redis' clock."""
    for field in ("began", "held_until"):
        if client.hexists(RECONCILE, field):
            client.hincrby(RECONCILE, field, -seconds * 1000)


def set_back(client: "redis.Redis", seconds: int) -> None:
    """As if Redis' clock had been ahead by so much until now."""
    pass_time(client, -seconds)
    for field in ("complete", "first"):
        if client.hexists(RECONCILE, field):
            client.hincrby(RECONCILE, field, seconds * 1000)


def test_first_run_is_due(client: "redis.Redis") -> None:
    lock = ReconcileLock(client, 900)
    assert lock.is_due()
    run = lock.acquire()
    assert run is not None
    assert (run.complete_ms, run.first_ms) == (None, run.began_ms)


def test_taken_turn_is_held(client: "redis.Redis") -> None:
    lock = ReconcileLock(client, 900)
    lock.acquire()
    assert not lock.is_due()
    with pytest.raises(ReconcileLockedError):
        lock.acquire(force=True)


def test_complete_run_waits_an_interval(client: "redis.Redis") -> None:
    lock = ReconcileLock(client, 900)
    run = lock.acquire()
    assert run is not None
    lock.release(run, "complete")
    pass_time(client, 890)
    assert not lock.is_due()
    assert lock.acquire() is None
    pass_time(client, 10)
    assert lock.is_due()
    following = lock.acquire()
    assert following is not None
    assert (following.complete_ms, following.first_ms) == (run.began_ms, run.first_ms)


def test_hand_made_run_need_not_wait(client: "redis.Redis") -> None:
    lock = ReconcileLock(client, 900)
    run = lock.acquire()
    assert run is not None
    lock.release(run, "complete")
    assert lock.acquire(force=True) is not None


def test_failed_run_comes_sooner(client: "redis.Redis") -> None:
    lock = ReconcileLock(client, 900)
    run = lock.acquire()
    assert run is not None
    lock.release(run, "failed")
    assert not lock.is_due()
    pass_time(client, 60)
    assert lock.is_due()
    repeated = lock.acquire()
    assert repeated is not None
    assert repeated.complete_ms is None


def test_unclear_run_waits_an_interval(client: "redis.Redis") -> None:
    lock = ReconcileLock(client, 900)
    run = lock.acquire()
    assert run is not None
    lock.release(run, "unclear")
    pass_time(client, 60)
    assert not lock.is_due()
    pass_time(client, 840)
    assert lock.is_due()


def test_dead_holder_loses_its_turn(client: "redis.Redis") -> None:
    lock = ReconcileLock(client, 900)
    dead = lock.acquire()
    assert dead is not None
    pass_time(client, 181)
    assert lock.is_due()
    assert lock.acquire() is not None
    with pytest.raises(ReconcileLockedError):
        lock.renew(dead)


def test_clock_that_is_set_back_holds_up_no_run(client: "redis.Redis") -> None:
    """And the run looks at the whole list: what the last complete one saw is in the future."""
    lock = ReconcileLock(client, 900)
    run = lock.acquire()
    assert run is not None
    lock.release(run, "complete")
    set_back(client, 25 * 3600)
    assert lock.is_due()
    following = lock.acquire()
    assert following is not None
    assert following.complete_ms is None
    assert following.first_ms == following.began_ms  # else nothing would count as missed for a day
    lock.release(following, "complete")
    third = lock.acquire(force=True)
    assert third is not None
    assert third.first_ms == following.first_ms


def test_holder_of_a_clock_that_is_set_back_loses_its_turn(client: "redis.Redis") -> None:
    lock = ReconcileLock(client, 900)
    lock.acquire()
    set_back(client, 25 * 3600)
    assert lock.is_due()
    assert lock.acquire() is not None
