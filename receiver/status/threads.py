"""Slow questions, asked beside the event loop: few at once, each with a deadline; none holds up the process's end."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Threads:
    """Runs at most `most` calls at once. One that outlives its deadline keeps its place until it really ends."""

    def __init__(self, most: int, deadline_s: float) -> None:
        self._places, self._deadline_s = asyncio.Semaphore(most), deadline_s

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises. Raises TimeoutError when that, or a free place, takes too long."""
        async with asyncio.timeout(self._deadline_s):
            await self._places.acquire()
            return await asyncio.shield(self._start(work))

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(self._leave)

        def call() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - the caller gets it
                _tell(loop, future.set_exception, error)
            else:
                _tell(loop, future.set_result, result)

        threading.Thread(target=call, name="status", daemon=True).start()
        return future

    def _leave(self, future: "asyncio.Future[T]") -> None:
        self._places.release()
        future.exception()  # nobody may be waiting any more


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[[T], None], what: T) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell, what)


class Shared(Generic[T]):
    """One answer, or one error, for all who ask at about the same time.

    What took long is kept for longer, so that asking never takes more than a sixth of Redis' or our time.
    """

    KEEP_S = 1.0
    PAUSE = 5  # times as long as it took

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask, self._turn = ask, asyncio.Lock()
        self._answer: asyncio.Future[T] | None = None
        self._good_until_s = 0.0

    async def get(self) -> T:
        """Raises whatever asking raises."""
        async with self._turn:
            if self._answer is None or time.monotonic() >= self._good_until_s:
                began_s = time.monotonic()
                self._answer = await self._settled()
                now_s = time.monotonic()
                self._good_until_s = now_s + max(self.KEEP_S, self.PAUSE * (now_s - began_s))
            return self._answer.result()

    def forget(self) -> None:
        """The next one who asks gets a new answer: something was changed by hand."""
        self._good_until_s = 0.0

    async def _settled(self) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(await self._ask())
        except Exception as error:  # noqa: BLE001 - everybody who asks gets it
            future.set_exception(error)
            future.exception()  # nobody need ask again before the loop ends
        return future
