import os
from collections.abc import Iterator

import pytest

from receiver.inbox.ledger import Lease
from workers.job import held

LEASE = Lease("batches/abc", "17", 2, 3, {"team": "x" * 10_000})


@pytest.fixture(autouse=True)
def _nothing_held() -> Iterator[None]:
    held.forget_lease()
    yield
    held.forget_lease()


def test_child_tells_its_parent() -> None:
    child = os.fork()
    if child == 0:
        held.remember_lease(LEASE)
        os._exit(0)
    os.waitpid(child, 0)
    assert held.find_lease() == Lease("batches/abc", "17", 2, 3, {})


def test_forgotten_lease_is_gone() -> None:
    held.remember_lease(LEASE)
    held.forget_lease()
    assert held.find_lease() is None


def test_unfinished_note_says_nothing() -> None:
    held.remember_lease(LEASE)
    held._page[5:8] = b"\0\0\0"  # noqa: SLF001 - what a kill in the middle of the write leaves
    assert held.find_lease() is None


def test_parent_sees_its_child_breathe() -> None:
    assert held.breaths() == 0
    held.breathe()
    child = os.fork()
    if child == 0:
        held.breathe()
        os._exit(0)
    os.waitpid(child, 0)
    assert held.breaths() == 2
