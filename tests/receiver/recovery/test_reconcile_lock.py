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


def test_first_look_is_due(client: "redis.Redis") -> None:
    looks = ReconcileLock(client, 900)
    assert looks.is_due()
    look = looks.take()
    assert look is not None
    assert (look.complete_ms, look.first_ms) == (None, look.began_ms)


def test_taken_turn_is_held(client: "redis.Redis") -> None:
    looks = ReconcileLock(client, 900)
    looks.take()
    assert not looks.is_due()
    with pytest.raises(ReconcileLockedError):
        looks.take(even_early=True)


def test_complete_look_waits_an_interval(client: "redis.Redis") -> None:
    looks = ReconcileLock(client, 900)
    look = looks.take()
    assert look is not None
    looks.end(look, "complete")
    pass_time(client, 890)
    assert not looks.is_due()
    assert looks.take() is None
    pass_time(client, 10)
    assert looks.is_due()
    following = looks.take()
    assert following is not None
    assert (following.complete_ms, following.first_ms) == (look.began_ms, look.first_ms)


def test_hand_made_look_need_not_wait(client: "redis.Redis") -> None:
    looks = ReconcileLock(client, 900)
    look = looks.take()
    assert look is not None
    looks.end(look, "complete")
    assert looks.take(even_early=True) is not None


def test_failed_look_comes_sooner(client: "redis.Redis") -> None:
    looks = ReconcileLock(client, 900)
    look = looks.take()
    assert look is not None
    looks.end(look, "failed")
    assert not looks.is_due()
    pass_time(client, 60)
    assert looks.is_due()
    repeated = looks.take()
    assert repeated is not None
    assert repeated.complete_ms is None


def test_unclear_look_waits_an_interval(client: "redis.Redis") -> None:
    looks = ReconcileLock(client, 900)
    look = looks.take()
    assert look is not None
    looks.end(look, "unclear")
    pass_time(client, 60)
    assert not looks.is_due()
    pass_time(client, 840)
    assert looks.is_due()


def test_dead_holder_loses_its_turn(client: "redis.Redis") -> None:
    looks = ReconcileLock(client, 900)
    dead = looks.take()
    assert dead is not None
    pass_time(client, 181)
    assert looks.is_due()
    assert looks.take() is not None
    with pytest.raises(ReconcileLockedError):
        looks.hold(dead)
