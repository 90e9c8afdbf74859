"""Runs blocking calls beside the event loop: few at once, each with a deadline.

A call that hangs does not hold up the end of the process.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class NoThreadError(RuntimeError):
    """The machine gives no thread: the call was not made."""


class Threads:
    """Runs at most `limit` calls at once. One that outlives its deadline counts until it ends."""

    def __init__(self, limit: int, deadline_s: float) -> None:
        self._slots, self._deadline_s = asyncio.Semaphore(limit), deadline_s

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises.

        Raises TimeoutError when the call, or the wait for a free slot, takes too long, and
        NoThreadError.
        """
        async with asyncio.timeout(self._deadline_s):
            await self._slots.acquire()
            return await asyncio.shield(self._start(call))

    def _start(self, call: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(self._release)

        def run() -> None:
            try:
                result = call()
            except Exception as error:  # noqa: BLE001 - the caller gets it
                _hand_over(loop, future.set_exception, error)
            else:
                _hand_over(loop, future.set_result, result)

        try:
            threading.Thread(target=run, name="status", daemon=True).start()
        except RuntimeError as error:
            future.set_exception(NoThreadError(str(error)))
        return future

    def _release(self, future: "asyncio.Future[T]") -> None:
        self._slots.release()
        future.exception()  # so that asyncio does not complain if nobody waits any more


def _hand_over(loop: asyncio.AbstractEventLoop, setter: Callable[[T], None], value: T) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(setter, value)


class Shared(Generic[T]):
    """One answer, or one error, for everybody who asks at about the same time.

    An answer that took long is kept for longer, so that asking takes at most a sixth of the time.
    """

    KEEP_S = 1.0
    PAUSE = 5  # times as long as it took

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask, self._lock = ask, asyncio.Lock()
        self._answer: asyncio.Future[T] | None = None
        self._valid_until_s = 0.0

    async def get(self) -> T:
        """Raises whatever asking raises."""
        async with self._lock:
            if self._answer is None or time.monotonic() >= self._valid_until_s:
                began_s = time.monotonic()
                self._answer = await self._settle()
                now_s = time.monotonic()
                self._valid_until_s = now_s + max(self.KEEP_S, self.PAUSE * (now_s - began_s))
            return self._answer.result()

    def forget(self) -> None:
        """The next one who asks gets a new answer: something was changed by hand."""
        self._valid_until_s = 0.0

    async def _settle(self) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(await self._ask())
        except Exception as error:  # noqa: BLE001 - everybody who asks gets it
            future.set_exception(error)
            future.exception()  # so that asyncio does not complain if nobody asks again
        return future
