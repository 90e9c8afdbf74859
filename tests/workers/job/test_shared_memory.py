import os
from collections.abc import Iterator

import pytest

from receiver.inbox.ledger import Lease
from workers.job import shared_memory

LEASE = Lease("batches/abc", "17", 2, 3, {"team": "x" * 10_000})


@pytest.fixture(autouse=True)
def _nothing_held() -> Iterator[None]:
    shared_memory.forget_lease()
    yield
    shared_memory.forget_lease()


def test_child_tells_its_parent() -> None:
    child = os.fork()
    if child == 0:
        shared_memory.remember_lease(LEASE)
        os._exit(0)
    os.waitpid(child, 0)
    assert shared_memory.find_lease() == Lease("batches/abc", "17", 2, 3, {})


def test_forgotten_lease_is_gone() -> None:
    shared_memory.remember_lease(LEASE)
    shared_memory.forget_lease()
    assert shared_memory.find_lease() is None


def test_unfinished_note_says_nothing() -> None:
    shared_memory.remember_lease(LEASE)
    shared_memory._lease[5:8] = b"\0\0\0"  # noqa: SLF001 - what a kill in the middle of the write leaves
    assert shared_memory.find_lease() is None


def test_parent_sees_the_heartbeat_of_its_child() -> None:
    assert shared_memory.count_beats() == 0
    shared_memory.beat()
    child = os.fork()
    if child == 0:
        shared_memory.beat()
        os._exit(0)
    os.waitpid(child, 0)
    assert shared_memory.count_beats() == 2
