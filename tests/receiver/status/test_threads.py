import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from receiver.errors import InboxUnavailableError
from receiver.status.threads import NoThreadError, Shared, Threads


def test_answer_and_error_reach_who_asked() -> None:
    def fail() -> None:
        raise InboxUnavailableError("away")

    async def ask() -> None:
        threads = Threads(1, 10)
        assert await threads.run(lambda: 7) == 7
        with pytest.raises(InboxUnavailableError):
            await threads.run(fail)
        assert await threads.run(lambda: 8) == 8

    asyncio.run(ask())


def test_slow_call_keeps_its_slot_until_it_ends() -> None:
    released = threading.Event()

    async def ask() -> None:
        threads = Threads(1, 0.05)
        with pytest.raises(TimeoutError):
            await threads.run(lambda: released.wait(30))
        with pytest.raises(TimeoutError):
            await threads.run(lambda: 1)  # the only slot is taken
        released.set()
        patient = asyncio.get_running_loop().time() + 10
        while True:
            try:
                assert await threads.run(lambda: 2) == 2
            except TimeoutError:
                assert asyncio.get_running_loop().time() < patient
            else:
                return

    asyncio.run(ask())


@pytest.fixture
def no_thread_starts() -> Iterator[None]:
    """Each would need more memory than there are addresses."""
    usual = threading.stack_size(1 << 46)
    yield
    threading.stack_size(usual)


@pytest.mark.usefixtures("no_thread_starts")
def test_thread_that_does_not_start_keeps_no_slot() -> None:
    async def ask() -> None:
        threads = Threads(1, 10)
        for _ in range(2):
            with pytest.raises(NoThreadError):
                await threads.run(lambda: 1)
        threading.stack_size(0)
        assert await threads.run(lambda: 2) == 2

    asyncio.run(ask())


def test_call_that_hangs_does_not_hold_up_the_end() -> None:
    """The thread is a daemon, and nobody waits for it at the end of the loop or of the process."""
    released = threading.Event()

    async def ask() -> bool:
        with pytest.raises(TimeoutError):
            await Threads(1, 0.05).run(lambda: released.wait(60))
        return True

    began = time.monotonic()
    assert asyncio.run(ask())
    assert time.monotonic() - began < 50
    released.set()


def test_all_viewers_share_one_snapshot() -> None:
    asked = []

    async def read() -> int:
        asked.append(1)
        await asyncio.sleep(0)
        return len(asked)

    async def ask() -> None:
        shared = Shared(read)
        assert await asyncio.gather(*(shared.get() for _ in range(50))) == [1] * 50
        shared.forget()
        assert await shared.get() == 2

    asyncio.run(ask())


def test_error_is_shared_too() -> None:
    """A hundred viewers of a Redis that is away must not wait for it one after the other."""
    asked = []

    async def read() -> int:
        asked.append(1)
        raise InboxUnavailableError("away")

    async def ask() -> None:
        shared = Shared(read)
        found = await asyncio.gather(*(shared.get() for _ in range(50)), return_exceptions=True)
        assert all(isinstance(one, InboxUnavailableError) for one in found)
        assert len(asked) == 1

    asyncio.run(ask())
